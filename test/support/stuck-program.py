# Waits in the kernel, where only SIGKILL ends it (state D): it asks a file system that nobody answers for, FUSE before its
# first message. The file system is in a mount namespace of its own, and goes with the process.
import ctypes, os, sys

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


directory = sys.argv[1]
call(libc.unshare, CLONE_NEWNS)
call(libc.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
call(libc.mount, b"snapsafe-test", directory.encode(), b"fuse", 0, options.encode())
print("asks", flush=True)
os.stat(directory + "/any")
