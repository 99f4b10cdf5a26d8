"""Run code that must not touch the network: python tools/offline.py CODE."""

import socket
import sys


def refuse(*args, **kwargs):
    raise OSError("this code must not touch the network")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
exec(compile(sys.argv[1], "<code>", "exec"), {"__name__": "__main__"})
