#!/usr/bin/env python3
"""Makes the files of TestUpgrade with an earlier version of the program.

Usage: make.py PROGRAM MICRO_IMAGE FOLDER

PROGRAM is the earlier version's binary. It is started with pools and nodes that begin
with "sbt-upgrade" on qemu:///system; what it makes there is removed at the end. FOLDER
gets the database as SQL, the key of its secrets, and the XML of domains and networks.
"""
import base64, hashlib, hmac, json, os, re, shutil, signal, sqlite3, struct, subprocess, sys, tempfile, time
import urllib.error, urllib.request

PROGRAM, MICRO, FOLDER = sys.argv[1:]
PREFIX, ADDRESS = "sbt-upgrade", "127.0.0.1:38911"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def virsh(*args):
    return run("virsh", "-q", "-c", "qemu:///system", *args)


def call(method, path, body=None, token=None, status=(200, 201, 202, 204), headers=None, raw=None):
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{ADDRESS}{path}", data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    if token:
        request.add_header("Cookie" if "=" in token else "Authorization", token if "=" in token else "Bearer " + token)
    try:
        with urllib.request.urlopen(request) as answer:
            code, text, header = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refused:
        code, text, header = refused.code, refused.read(), refused.headers
    assert code in status, (method, path, code, text)
    return (json.loads(text) if text else None), header


def sign_in(name, password):
    _, header = call("POST", "/api/auth/login", {"username": name, "password": password})
    return header["Set-Cookie"].split(";")[0]


def token(name, password, **fields):
    made, _ = call("POST", "/api/tokens", {"name": "of the upgrade", **fields}, sign_in(name, password))
    return made["secret"]


def totp(secret):
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at:at + 4])[0] & 0x7FFFFFFF) % 10**6)


def await_job(job, token):
    while True:
        now, _ = call("GET", "/api/jobs/" + job["id"], None, token)
        if now["state"] in ("succeeded", "failed", "cancelled"):
            assert now["state"] == "succeeded", now
            return now
        time.sleep(0.2)


def make(data):
    flags = ["--config=/dev/null", "--listen=" + ADDRESS, "--data-dir=" + data, "--auth=on",
             f"--images-pool={PREFIX}-images", f"--nodes-pool={PREFIX}-nodes"]
    run(PROGRAM, "image", "add", MICRO, "--base", "micro", *flags)
    service = subprocess.Popen([PROGRAM, "serve", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        known = {"passwords": {}, "tokens": {}}
        for line in service.stdout:
            if found := re.match(r" +password: (\S+)", line):
                known["passwords"]["admin"] = found[1]
                break
        while True:
            try:
                if call("GET", "/api/health")[0]["status"] == "ok":
                    break
            except urllib.error.URLError:
                pass
            time.sleep(0.1)
        admin = known["tokens"]["admin"] = token("admin", known["passwords"]["admin"])
        for name, role in (("ann", "instructor"), ("eve", "instructor"), ("bob", "student"), ("cat", "viewer"), ("tess", "instructor"), ("gone", "instructor"), ("fresh", "student")):
            known["passwords"][name] = "the old password of " + name
            quota = {"quota": {"nodes": 3, "uploads": 2}} if name == "ann" else {}
            call("POST", "/api/users", {"name": name, "role": role, "password": known["passwords"][name], "mustChangePassword": name == "fresh", **quota}, admin)
        for name in ("ann", "eve", "bob", "cat", "gone"):
            known["tokens"][name] = token(name, known["passwords"][name])
        ann = known["tokens"]["ann"]
        known["tokens"]["ann-reads"] = token("ann", known["passwords"]["ann"], scopes=["read"])
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBP5eXq0fIvNGV7tJZrbO5eq5ZkXjKJcPPsG7zsQq1sG ann@home"
        call("PATCH", "/api/auth/me", {"sshKeys": [key]}, ann)
        tess = sign_in("tess", known["passwords"]["tess"])
        secret = call("POST", "/api/auth/totp", None, tess)[0]["secret"]
        known["totp"] = secret
        known["recovery"] = call("POST", "/api/auth/totp/confirm", {"code": totp(secret)}, tess)[0]["recoveryCodes"]
        call("POST", "/api/groups", {"name": "class"}, admin)
        call("PUT", "/api/groups/class/members/cat", None, admin)

        disk = os.path.join(data, "small.qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", disk, "16M")
        boundary = "cut-here"
        content = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"mine.qcow2\"\r\n\r\n".encode()
                   + open(disk, "rb").read() + f"\r\n--{boundary}--\r\n".encode())
        image = call("POST", "/api/images/custom", None, ann, headers={"Content-Type": "multipart/form-data; boundary=" + boundary}, raw=content)[0]["image"]["id"]
        nodes = {}
        for name, of in (("web", "micro"), ("plain", image)):
            nodes[name] = call("POST", "/api/nodes", {"name": f"{PREFIX}-{name}", "image": of, "resources": {"ram": 128}}, ann)[0]["id"]
        nodes["evil"] = call("POST", "/api/nodes", {"name": PREFIX + "-evil", "image": "micro", "resources": {"ram": 64}}, known["tokens"]["eve"])[0]["id"]
        job, _ = call("POST", f"/api/nodes/{nodes['web']}/image", {"name": "captured"}, ann)
        captured = await_job(job, ann)["target"]["id"]
        for owner in ("ann", "gone"):
            call("POST", "/api/networks", {"name": f"{PREFIX}-{owner}"}, known["tokens"][owner])
        lab = call("POST", "/api/labs", {"name": "course"}, ann)[0]["id"]
        call("PUT", f"/api/labs/{lab}/nodes/{nodes['plain']}", {"x": 1, "y": 2}, ann)
        made, _ = call("POST", f"/api/labs/{lab}/networks", {"addresses": False, "x": 3, "y": 4}, ann)
        call("POST", f"/api/labs/{lab}/links", {"from": nodes["plain"], "to": made["networks"][0]["id"] if "networks" in made else made["id"]}, ann)
        call("PUT", f"/api/nodes/{nodes['web']}/shares/users/bob", {"level": "use"}, ann)
        call("PUT", f"/api/images/{image}/shares/groups/class", {"level": "view"}, ann)
        call("PUT", f"/api/labs/{lab}/shares/users/bob", {"level": "view"}, ann)
        _, header = call("POST", "/api/uploads", None, ann, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "4096", "Upload-Metadata": "filename " + base64.b64encode(b"half.qcow2").decode()})
        upload = header["Location"].rsplit("/", 1)[1]
        call("DELETE", "/api/users/gone", None, admin)  # its network stays
        known.update(nodes=nodes, image=image, captured=captured, lab=lab, job=job["id"], upload=upload, sshKey=key)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(30)

    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    db = sqlite3.connect(os.path.join(data, "sandboxlabs.db"))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(os.path.join(FOLDER, "database.sql"), "w") as out:
        out.write("\n".join(db.iterdump()) + "\n")
    shutil.copy(os.path.join(data, "secrets.key"), FOLDER)
    for name, node in nodes.items():
        open(os.path.join(FOLDER, f"node-{name}.xml"), "w").write(virsh("dumpxml", "--inactive", "--security-info", node))
    for name in virsh("net-list", "--all", "--name").split():
        if PREFIX in name or name.startswith("course-net"):
            short = name.removeprefix(PREFIX + "-")
            open(os.path.join(FOLDER, f"network-{short}.xml"), "w").write(virsh("net-dumpxml", "--inactive", name))
    json.dump(known, open(os.path.join(FOLDER, "known.json"), "w"), indent=2, sort_keys=True)


def remove():
    for name in virsh("list", "--all", "--name").split():
        if name.startswith(PREFIX):
            virsh("undefine", name, "--nvram")
    for name in virsh("net-list", "--all", "--name").split():
        if name.startswith(PREFIX) or name.startswith("course-net"):
            subprocess.run(["virsh", "-q", "net-destroy", name], capture_output=True)
            virsh("net-undefine", name)
    for name in virsh("pool-list", "--all", "--name").split():
        if name.startswith(PREFIX):
            for line in virsh("vol-list", name).splitlines():
                if line.strip():
                    virsh("vol-delete", line.split()[0], "--pool", name)
            virsh("pool-destroy", name)
            virsh("pool-delete", name)
            virsh("pool-undefine", name)


with tempfile.TemporaryDirectory() as data:
    try:
        make(data)
    finally:
        remove()
