# Fetches what the service manager of fd-store.py keeps, and becomes the program with it, as sd_listen_fds_with_names(3) says.
import fcntl, os, socket, sys

# Above all that is open here and all that is handed over.
aside = 500
with socket.socket(socket.AF_UNIX) as manager:
    manager.connect(sys.argv[1])
    data, fds, _, _ = socket.recv_fds(manager, 65536, 200)
moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, aside) for fd in fds]
os.closerange(3, aside)
for index, fd in enumerate(moved):
    os.dup2(fd, 3 + index, inheritable=True)
if moved:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved)), LISTEN_FDNAMES=data.decode().strip())
os.execv(sys.argv[2], sys.argv[2:])
