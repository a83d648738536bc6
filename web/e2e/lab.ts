import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, "..", "..");

/** The micro image that the repository's build creates. */
export const microImage = process.env.MICRO_IMAGE ?? join(repository, "images", "build", "micro.qcow2");
const binary = process.env.SANDBOXLABS_BIN ?? join(repository, "bin", "sandboxlabs");

const session = "qemu:///session";
const nobody = 65534;

// A libvirtd in separate namespaces, where it can create networks: its bridges are in a network
// namespace, and its folders are private.
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

/** The libvirt of a lab. */
interface Ground {
  folder: string;
  env: NodeJS.ProcessEnv;
  uri: string;
  /** The process that holds the namespaces of a separate libvirtd: when it ends, all processes in them end. */
  holder?: ChildProcess;
}

/**
 * A running SandboxLabs with its own libvirt: libvirt's session daemon with all its folders below
 * a temporary one. So it contains only what a test creates, several labs can run at the same time,
 * and no other domain of the machine is touched. As root it all runs as the user nobody, because
 * root has no session daemon.
 *
 * A session daemon can't create networks. A lab with networks has a system libvirtd in separate
 * namespaces instead, which requires root.
 */
export class Lab {
  private service: ChildProcess | undefined;
  /** The service's log so far. */
  log = "";

  private constructor(
    private readonly ground: Ground,
    /** The service's URL: "http://127.0.0.1:40123". */
    readonly url: string,
    readonly user: string,
    readonly password: string,
  ) {}

  /**
   * Starts a lab with the micro image and without nodes; with networks only as root. The options
   * are additional environment variables of the service.
   */
  static async start({
    networks = false,
    options = {},
  }: { networks?: boolean; options?: NodeJS.ProcessEnv } = {}): Promise<Lab> {
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
      const command = (...args: string[]) =>
        run(join(folder, "sandboxlabs"), args, { env, cwd: folder, ...identity() });
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

  /** Starts the service, and resolves when it responds. */
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

  /** Stops only the service: nodes keep running. */
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
    const { stdout } = await run("virsh", ["-q", "-c", this.ground.uri, ...args], {
      env: this.ground.env,
      cwd: this.ground.folder,
      ...identity(),
    });
    return stdout.trim();
  }

  /** Runs a statement on the service's database while it runs. */
  async inDatabase(statement: string): Promise<void> {
    const file = join(this.ground.folder, "data", "sandboxlabs.db");
    const script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1], timeout=10) as db: db.execute(sys.argv[2])";
    await run("python3", ["-c", script, file, statement], {
      env: this.ground.env,
      cwd: this.ground.folder,
      ...identity(),
    });
  }

  /** Defines a domain from a file, also if the lab's user can't read it. */
  async define(file: string): Promise<void> {
    const copy = join(this.ground.folder, "define.xml");
    await copyFile(file, copy);
    await chmod(copy, 0o644);
    await this.virsh("define", copy);
  }

  /** Adds a device from a file to the definition of a stopped domain. */
  async attach(domain: string, file: string): Promise<void> {
    const copy = join(this.ground.folder, "attach.xml");
    await copyFile(file, copy);
    await chmod(copy, 0o644);
    await this.virsh("attach-device", domain, copy, "--config");
  }

  /** Starts `virsh console` on a separate terminal, and resolves when it has opened the console. Stop it with kill. */
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

  /** Replaces the paths and addresses of this lab with those of an installation. */
  asInstalled(text: string): string {
    const { folder, uri } = this.ground;
    return [
      [uri, "qemu:///system"],
      [join(folder, "data"), "/var/lib/sandboxlabs"],
      [new URL(this.url).host, "127.0.0.1:3001"],
    ].reduce((shown, [here = "", there = ""]) => shown.replaceAll(here, there), text);
  }

  /** Stops all processes of the lab, and removes everything that it created. */
  async stop(): Promise<void> {
    try {
      await this.stopService();
    } finally {
      await cleanUp(this.ground);
    }
  }
}

/** Starts a lab's libvirtd in separate namespaces, and resolves when it responds. */
async function startApart(ground: Ground): Promise<void> {
  const { folder, env, uri } = ground;
  await mkdir(join(folder, "etc"));
  await chooseScreenPorts(join(folder, "etc"));
  await mkdir(join(folder, "libvirt"), { mode: 0o755 });
  await writeFile(
    join(folder, "etc", "libvirtd.conf"),
    `unix_sock_dir = "${join(folder, "libvirt")}"\nauth_unix_rw = "none"\nunix_sock_rw_perms = "0777"\n`,
  );
  const namespaces = [
    "--net",
    "--mount",
    "--uts",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
  ];
  ground.holder = spawn("unshare", [...namespaces, "sh", "-c", apartScript, "sh", folder], { stdio: "ignore" });
  await until("the libvirtd apart answers", () =>
    run("virsh", ["-q", "-c", uri, "version"], { env, cwd: folder, ...identity() }).then(
      () => true,
      () => false,
    ),
  );
}

/**
 * Configures the QEMU driver of a separate libvirtd. Several libvirtds could find the same port free at
 * the same time, so each has its own range for screens. Control groups would remain after it is killed.
 */
async function chooseScreenPorts(folder: string): Promise<void> {
  const first = drawnPort();
  await writeFile(
    join(folder, "qemu.conf"),
    `security_driver = "none"\ncgroup_controllers = []\nremote_display_port_min = ${first}\nremote_display_port_max = ${first + 100}\n`,
  );
}

async function cleanUp({ folder, env, uri, holder }: Ground): Promise<void> {
  if (holder) {
    const ended = new Promise((resolveEnd) => holder.once("exit", resolveEnd));
    holder.kill("SIGKILL"); // when the first process of the namespace ends, all others are killed
    await ended;
    await rm(folder, { recursive: true, force: true });
    return;
  }
  const options = { env, cwd: folder, ...identity() };
  const virsh = (...args: string[]) => run("virsh", ["-q", "-c", uri, ...args], options);
  const names = async (...args: string[]) => {
    const { stdout } = await virsh(...args).catch(() => ({ stdout: "" }));
    return stdout
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  };
  for (const domain of await names("list", "--name")) {
    await virsh("destroy", domain).catch(() => undefined); // it may stop on its own
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

/** Stops a process, and resolves when it has exited. */
async function end(pid: number): Promise<void> {
  const signal = (name: NodeJS.Signals | 0) => {
    try {
      return process.kill(pid, name);
    } catch {
      return false; // it has exited
    }
  };
  signal("SIGTERM");
  await until(`process ${pid} ends`, () => Promise.resolve(!signal(0)));
}

/** Polls until a condition holds. */
export async function until(what: string, holds: () => Promise<boolean>, timeout = 30_000): Promise<void> {
  const deadline = Date.now() + timeout;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      throw new Error(`timed out waiting until ${what}`);
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

/** Returns a port below the kernel's range of ephemeral ports. */
function drawnPort(): number {
  return 10_000 + Math.floor(Math.random() * 22_000);
}

/** Returns a loopback port for a server that is started later. */
async function freePort(): Promise<number> {
  const port = drawnPort();
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
  return isFree ? port : freePort();
}
