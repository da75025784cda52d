"""Steps for worker processes that do what bad decoders do: die, or go in circles without hearing anything."""

import os
import signal
import time


def look(media, known):
    content = media._path.read_text(encoding="utf-8")
    if content == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if content == "slow":
        time.sleep(5)
    if content == "stuck":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(60)
    return {"said": content}
