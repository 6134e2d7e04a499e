"""Verifies an audit trail by docs/audit.md alone; shares no code with linekeep. Prints `whole RECORDS HEAD`, or `damaged FILE LINE` of the first fault.
Usage: verify_trail.py FOLDER KEY_FILE [EPOCH:COUNT:TAG ...]"""
import hmac, pathlib, re, sys

LINE = re.compile(r"(0|[1-9]\d*) (0|[1-9]\d*) (\S*) ([0-9a-f]{64}) (.*)", re.A | re.S)
OPENED = re.compile(r"event=trail-opened form=linekeep-trail/1 file=(\d+) former-epoch=(\d+) former-count=(\d+) former-tag=(\w{64}) former-end=(\S+)", re.A)

def mac(key, *parts):
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")

def chain_key(epoch):
    return hmac.digest(master, b"linekeep/v1/audit-chain" + epoch.to_bytes(8, "big"), "sha256")

def verify(folder, checkpoints):
    """Yields the place of every fault up to the first that nothing can be read behind."""
    global records, head
    epoch, count, tag, closed, missing = None, 0, b"", True, 0
    for path in sorted(folder.glob("trail-*.log")):
        lines = path.read_bytes().split(b"\n")
        if lines == [b""]:
            yield path.name, 1
        for number, raw in enumerate(lines[:-1], 1):
            line = LINE.fullmatch(raw.decode("utf-8", "replace"))
            if not line or len(raw) > 8192:
                yield path.name, number
            said, place, body, (time, text) = int(line[1]), int(line[2]), line[5], line.group(3, 5)
            opened = OPENED.fullmatch(body)
            if number == 1 and not (opened and int(opened[1]) == int(path.name.split("-")[1])):
                yield path.name, number
            if epoch is None:
                missing = int(opened[1]) - 1
                epoch, count, tag = said, place, bytes.fromhex(opened[4])
            elif number == 1 and said != epoch:
                if not closed or opened[5] != "closed" or (int(opened[2]), int(opened[3]), bytes.fromhex(opened[4])) != (epoch, count, tag):
                    yield path.name, number
                epoch, count = said, 0
            if count == 0:
                tag = mac(chain_key(epoch), b"genesis", epoch.to_bytes(8, "big"))
            tag = mac(chain_key(epoch), b"rec", epoch.to_bytes(8, "big"), count.to_bytes(8, "big"), tag, time.encode(), text.encode())
            if (said, place, line[4]) != (epoch, count, tag.hex()) or checkpoints.pop((epoch, count + 1), tag) != tag:
                yield path.name, number
            records, count, closed = records + 1, count + 1, body.startswith("event=trail-closed ")
            missing *= not body.startswith(f"event=trail-removed severity=notice file={missing} ")
            head = f"{epoch}:{count}:{tag.hex()}"
        if lines[-1]:
            yield path.name, len(lines)
    if missing or checkpoints:
        yield "-", 0

master, records, head = bytes.fromhex(open(sys.argv[2]).read().strip()), 0, "nothing"
kept = {(int(epoch), int(count)): bytes.fromhex(tag) for epoch, count, tag in (kept.split(":")[:3] for kept in sys.argv[3:])}
fault = next(verify(pathlib.Path(sys.argv[1]), kept), None)
print(*(["damaged", *fault] if fault else ["whole", records, head]))
sys.exit(1 if fault else 0)
