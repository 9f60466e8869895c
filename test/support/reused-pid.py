"""A process connects, forks and ends; its child has the connection, and sends a frame when another process has the pid.

Arguments: the daemon's socket, the frame that the child sends, and one that the victim sends first, on a connection of its own, if it
is to; then the child sends when there is a line on standard input. Prints the pid of that process, the victim, then each frame that comes, then how the
victim ends where it does. Ends, with both, when its standard input does. With no arguments: ends with 0 where pids can be chosen.
"""

import ctypes, os, select, signal, socket, struct, sys

CLONE3 = 435  # on all architectures that Node runs on

CALLING = """
import os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.argv[2].encode() + b'\\0')
while data := connection.recv(65536):
    os.write(1, data.replace(b'\\0', b'\\n'))
"""


def run_as(pid, program):
    """clone_args of clone3(2), with set_tid."""
    wanted = (ctypes.c_int * 1)(pid)
    arguments = ctypes.create_string_buffer(
        struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1, 0), 88
    )
    libc = ctypes.CDLL(None, use_errno=True)
    child = libc.syscall(CLONE3, arguments, 88)
    if child < 0:
        sys.exit(f"clone3: {os.strerror(ctypes.get_errno())}")
    if child == 0:
        os.execvp(program[0], program)
    return child


def connect_and_leave(path, ready):
    """Leaves a child that has the connection, and whose pid and frames come by pipe."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    holder = os.fork()
    if holder != 0:
        os._exit(0)
    os.read(ready, 1)
    connection.sendall(sys.argv[2].encode() + b"\0")
    while True:
        data = connection.recv(65536)
        os.write(1, data.replace(b"\0", b"\n"))
        if not data:
            os._exit(0)


def main():
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(writer)
        if len(sys.argv) > 2:
            connect_and_leave(sys.argv[1], reader)
        os._exit(0)
    os.waitpid(first, 0)
    calls = [sys.executable, "-c", CALLING, sys.argv[1], sys.argv[3]] if len(sys.argv) > 3 else None
    victim = run_as(first, calls or ["sleep", "3600"])
    try:
        if len(sys.argv) > 2:
            print(victim, flush=True)
            if len(sys.argv) > 3:
                os.read(0, 4096)
            os.write(writer, b".")
            victim_ends = os.pidfd_open(victim)
            while True:
                ready, _, _ = select.select([victim_ends, 0], [], [])
                if victim_ends in ready:
                    print("victim ended", flush=True)
                    return
                if not os.read(0, 4096):
                    return
    finally:
        os.kill(victim, signal.SIGKILL)


main()
