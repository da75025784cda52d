"""The server: answers a request within its deadline, with the features that training used."""
