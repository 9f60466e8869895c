# A service manager as far as its file descriptor store goes (sd_notify(3)): keeps what FDSTORE=1 brings, drops what
# FDSTOREREMOVE=1 names and, unless it is told not to look, what has hung up. Prints the names that it keeps, one JSON list a
# line. Whoever connects to its second socket is given what it keeps, with the listening socket, if there is one, before.
import json, select, socket, sys

notify_path, handout_path, listen_path, looks = sys.argv[1:5]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(notify_path)
# recv_fds ignores its flags.
notify.setblocking(False)
handout = socket.socket(socket.AF_UNIX)
handout.bind(handout_path)
handout.listen(4)
first = []
if listen_path:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen_path)
    listener.listen(16)
    first = [("snapsafed.socket", listener)]
kept = []
poll = select.poll()
poll.register(notify, select.POLLIN)
poll.register(handout, select.POLLIN)


def tell():
    print(json.dumps([name for name, _ in kept]), flush=True)


def drop(isMeant):
    for entry in [entry for entry in kept if isMeant(*entry)]:
        kept.remove(entry)
        if looks == "looks":
            poll.unregister(entry[1])
        entry[1].close()


def take_messages():
    while True:
        try:
            data, fds, _, _ = socket.recv_fds(notify, 4096, 8)
        except BlockingIOError:
            return
        fields = dict(line.split("=", 1) for line in data.decode().splitlines())
        if "FDSTORE" in fields:
            kept.extend((fields["FDNAME"], socket.socket(fileno=fd)) for fd in fds)
            if looks == "looks":
                poll.register(kept[-1][1], 0)
        if "FDSTOREREMOVE" in fields:
            drop(lambda name, _: name == fields["FDNAME"])
        if "FDSTORE" in fields or "FDSTOREREMOVE" in fields:
            tell()


def drop_hung_up():
    hung_up = [fd for fd, events in poll.poll(0) if events & select.POLLHUP]
    if hung_up:
        drop(lambda _, peer: peer.fileno() in hung_up)
        tell()


tell()
while True:
    events = dict(poll.poll())
    take_messages()
    drop_hung_up()
    if handout.fileno() in events:
        peer, _ = handout.accept()
        entries = first + kept
        names = ":".join(name for name, _ in entries).encode()
        # A byte at least, for the descriptors to come with.
        socket.send_fds(peer, [names + b"\n"], [held.fileno() for _, held in entries])
        peer.close()
