"""From what is known of creatives to their labels: strategies, confidence, and how well they do."""
