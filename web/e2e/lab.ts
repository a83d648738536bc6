import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, "..", "..");

/** The micro image as the repository's build leaves it. */
export const microImage = process.env.MICRO_IMAGE ?? join(repository, "images", "build", "micro.qcow2");
const binary = process.env.SANDBOXLABS_BIN ?? join(repository, "bin", "sandboxlabs");

const session = "qemu:///session";
const nobody = 65534;

// A libvirtd in namespaces of its own, where it may make networks: its bridges are
// in a network namespace, and its folders nobody else's.
const apartScript = `set -e
dir=$1
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
for d in /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p "$d"
  mount -t tmpfs -o mode=755 tmpfs "$d"
  mkdir -p "$d/qemu"
  chown libvirt-qemu "$d/qemu"
done
mkdir -p /var/lib/libvirt/images
mount --bind "$dir/etc" /etc/libvirt
hostname sandboxlabs-e2e
ip link set lo up
virtlogd -d -p /run/virtlogd.pid
libvirtd -d -p /run/libvirtd.pid
while :; do sleep 0.2; done
`;

/** What a lab's libvirt is. */
interface Ground {
  folder: string;
  env: NodeJS.ProcessEnv;
  uri: string;
  /** Holds the namespaces of a libvirtd apart: its end ends all in them. */
  holder?: ChildProcess;
}

/**
 * A running SandboxLabs on a libvirt of its own: libvirt's session daemon with
 * all its folders in a temporary one. So there is nothing but what a test
 * makes, several labs may run at once, and no other domain of the machine is
 * ever touched. As root it all runs as nobody, since root has no session.
 *
 * A session cannot make networks. A lab with networks has a system libvirtd in
 * namespaces of its own instead, which takes root.
 */
export class Lab {
  private service: ChildProcess | undefined;
  /** All that the service has logged so far. */
  log = "";

  private constructor(
    private readonly ground: Ground,
    /** The service's address: "http://127.0.0.1:40123". */
    readonly url: string,
    readonly user: string,
    readonly password: string,
  ) {}

  /**
   * Starts a lab that holds the micro image and no node; with networks as root
   * alone. The options are further ones of the service, in its environment.
   */
  static async start({ networks = false, options = {} }: { networks?: boolean; options?: NodeJS.ProcessEnv } = {}): Promise<Lab> {
    const folder = await mkdtemp(join(tmpdir(), "sl-e2e-"));
    const listen = `127.0.0.1:${await freePort()}`;
    const uri = networks ? `qemu+unix:///system?socket=${join(folder, "libvirt", "libvirt-sock")}` : session;
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      HOME: folder,
      XDG_RUNTIME_DIR: join(folder, "run"),
      SANDBOXLABS_HOSTS: `local=${uri}`,
      SANDBOXLABS_LISTEN: listen,
      SANDBOXLABS_DATA_DIR: join(folder, "data"),
      SANDBOXLABS_USER_NETWORK: "on", // neither libvirt has a default network
      ...options,
    };
    const ground: Ground = { folder, env, uri };
    try {
      await mkdir(join(folder, "run"), { mode: 0o700 });
      await mkdir(join(folder, "data"), { mode: 0o700 });
      await mkdir(join(folder, ".config", "libvirt"), { recursive: true });
      await copyFile(binary, join(folder, "sandboxlabs"));
      await copyFile(microImage, join(folder, "micro.qcow2"));
      if (isRoot()) {
        for (const name of ["", "run", "data", ".config", ".config/libvirt", "sandboxlabs", "micro.qcow2"]) {
          await chown(join(folder, name), nobody, nobody);
        }
      }
      if (networks) {
        await startApart(ground);
      } else {
        await chooseScreenPorts(join(folder, ".config", "libvirt"));
      }
      const command = (...args: string[]) => run(join(folder, "sandboxlabs"), args, { env, cwd: folder, ...identity() });
      const { stdout } = await command("user", "init");
      const [, user] = /^\s+user:\s+(\S+)/m.exec(stdout) ?? [];
      const [, password] = /^\s+password:\s+(\S+)/m.exec(stdout) ?? [];
      if (user === undefined || password === undefined) {
        throw new Error(`user init did not print an account: ${stdout}`);
      }
      await command("image", "add", "--base", "micro", "--os-type", "linux", "micro.qcow2");
      const lab = new Lab(ground, `http://${listen}`, user, password);
      await lab.serve();
      return lab;
    } catch (error) {
      await cleanUp(ground);
      throw error;
    }
  }

  /** Starts the service, and resolves when it answers. */
  async serve(): Promise<void> {
    const service = spawn(join(this.ground.folder, "sandboxlabs"), ["serve"], {
      env: this.ground.env,
      cwd: this.ground.folder,
      stdio: ["ignore", "pipe", "pipe"],
      ...identity(),
    });
    this.service = service;
    for (const stream of [service.stdout, service.stderr]) {
      stream.on("data", (text: Buffer) => (this.log += text.toString()));
    }
    await until("the service answers", async () => {
      if (service.exitCode !== null) {
        throw new Error(`the service ended at once:\n${this.log}`);
      }
      return fetch(`${this.url}/api/health`).then(
        async (response) => JSON.stringify(await response.json()).includes(`"local":"connected"`),
        () => false,
      );
    });
  }

  /** Stops the service alone: nodes go on. */
  async stopService(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const { service } = this;
    if (service?.exitCode === null) {
      const ended = new Promise((resolveEnd) => service.once("exit", resolveEnd));
      service.kill(signal);
      await ended;
    }
    this.service = undefined;
  }

  /** Runs virsh against the lab's libvirt, and resolves with what it prints. */
  async virsh(...args: string[]): Promise<string> {
    const { stdout } = await run("virsh", ["-q", "-c", this.ground.uri, ...args], { env: this.ground.env, cwd: this.ground.folder, ...identity() });
    return stdout.trim();
  }

  /** Runs a statement on the service's database while it runs. */
  async inDatabase(statement: string): Promise<void> {
    const file = join(this.ground.folder, "data", "sandboxlabs.db");
    const script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1], timeout=10) as db: db.execute(sys.argv[2])";
    await run("python3", ["-c", script, file, statement], { env: this.ground.env, cwd: this.ground.folder, ...identity() });
  }

  /** Defines a domain from a file, which the lab's user may not be able to read. */
  async define(file: string): Promise<void> {
    const copy = join(this.ground.folder, "define.xml");
    await copyFile(file, copy);
    await chmod(copy, 0o644);
    await this.virsh("define", copy);
  }

  /** Adds a device from a file to the definition of a domain that is off. */
  async attach(domain: string, file: string): Promise<void> {
    const copy = join(this.ground.folder, "attach.xml");
    await copyFile(file, copy);
    await chmod(copy, 0o644);
    await this.virsh("attach-device", domain, copy, "--config");
  }

  /** Starts `virsh console` on a terminal of its own, and resolves when it holds the console. End it with kill. */
  async holdConsole(node: string): Promise<ChildProcess> {
    const holder = spawn("script", ["-qec", `exec virsh -c ${this.ground.uri} console ${node}`, "/dev/null"], {
      env: this.ground.env,
      cwd: this.ground.folder,
      stdio: ["pipe", "pipe", "ignore"],
      ...identity(),
    });
    let output = "";
    holder.stdout.on("data", (text: Buffer) => (output += text.toString()));
    await until(`virsh holds the console of ${node}`, () => {
      if (holder.exitCode !== null) {
        throw new Error(`virsh console ended at once: ${output}`);
      }
      return Promise.resolve(output.includes("Escape character"));
    });
    return holder;
  }

  /** What the service tells, with the places of an installation instead of those of this lab. */
  asInstalled(text: string): string {
    const { folder, uri } = this.ground;
    return [
      [uri, "qemu:///system"],
      [join(folder, "data"), "/var/lib/sandboxlabs"],
      [new URL(this.url).host, "127.0.0.1:3001"],
    ].reduce((shown, [here = "", there = ""]) => shown.replaceAll(here, there), text);
  }

  /** Ends all that the lab started, and removes all that it made. */
  async stop(): Promise<void> {
    try {
      await this.stopService();
    } finally {
      await cleanUp(this.ground);
    }
  }
}

/** Starts a lab's libvirtd in namespaces of its own, and resolves when it answers. */
async function startApart(ground: Ground): Promise<void> {
  const { folder, env, uri } = ground;
  await mkdir(join(folder, "etc"));
  await chooseScreenPorts(join(folder, "etc"));
  await mkdir(join(folder, "libvirt"), { mode: 0o755 });
  await writeFile(
    join(folder, "etc", "libvirtd.conf"),
    `unix_sock_dir = "${join(folder, "libvirt")}"\nauth_unix_rw = "none"\nunix_sock_rw_perms = "0777"\n`,
  );
  const namespaces = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
  ground.holder = spawn("unshare", [...namespaces, "sh", "-c", apartScript, "sh", folder], { stdio: "ignore" });
  await until("the libvirtd apart answers", () =>
    run("virsh", ["-q", "-c", uri, "version"], { env, cwd: folder, ...identity() }).then(
      () => true,
      () => false,
    ),
  );
}

/**
 * Configures QEMU's driver, in the folder of a libvirtd of its own: other libvirtds find the same
 * ports free at the same time, so each has a range of its own for screens. Control groups would stay when it is killed.
 */
async function chooseScreenPorts(folder: string): Promise<void> {
  const first = drawnPort();
  await writeFile(join(folder, "qemu.conf"), `security_driver = "none"\ncgroup_controllers = []\nremote_display_port_min = ${first}\nremote_display_port_max = ${first + 100}\n`);
}

async function cleanUp({ folder, env, uri, holder }: Ground): Promise<void> {
  if (holder) {
    const ended = new Promise((resolveEnd) => holder.once("exit", resolveEnd));
    holder.kill("SIGKILL"); // the end of the first process in it ends all others of its namespace
    await ended;
    await rm(folder, { recursive: true, force: true });
    return;
  }
  const options = { env, cwd: folder, ...identity() };
  const virsh = (...args: string[]) => run("virsh", ["-q", "-c", uri, ...args], options);
  const names = async (...args: string[]) => {
    const { stdout } = await virsh(...args).catch(() => ({ stdout: "" }));
    return stdout.split("\n").map((line) => line.trim()).filter(Boolean);
  };
  for (const domain of await names("list", "--name")) {
    await virsh("destroy", domain).catch(() => undefined); // it may end by itself
  }
  for (const daemon of ["libvirtd", "virtlogd"]) {
    const pid = Number(await readFile(join(folder, "run", "libvirt", `${daemon}.pid`), "utf8").catch(() => ""));
    if (pid > 0) {
      await end(pid);
    }
  }
  // Domains, pools and volumes are files below the folder.
  await rm(folder, { recursive: true, force: true });
}

/** Ends a process, and resolves when it is gone. */
async function end(pid: number): Promise<void> {
  const signal = (name: NodeJS.Signals | 0) => {
    try {
      return process.kill(pid, name);
    } catch {
      return false; // it is gone
    }
  };
  signal("SIGTERM");
  await until(`process ${pid} ends`, () => Promise.resolve(!signal(0)));
}

/** Asks again and again, until a condition holds. */
export async function until(what: string, holds: () => Promise<boolean>, patience = 30_000): Promise<void> {
  const deadline = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      throw new Error(`waited in vain until ${what}`);
    }
    await pause(50);
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function identity(): { uid?: number; gid?: number } {
  return isRoot() ? { uid: nobody, gid: nobody } : {};
}

/** A port below those that the kernel gives to programs that ask for any. */
function drawnPort(): number {
  return 10_000 + Math.floor(Math.random() * 22_000);
}

/** A port of the loopback address for a server that is started later. */
async function freePort(): Promise<number> {
  const port = drawnPort();
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
  return isFree ? port : freePort();
}
