"""What compare runs: processes that end with it, and the proxies that stand in front of the null
server, each with its configuration."""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

USER, PASSWORD = "app", "bench-password"


class Processes:
    """Everything this program starts, so that all of it ends with this program."""

    def __init__(self, cpu):
        self.cpu = cpu
        self.running = []

    def start(self, command, **options):
        libc = ctypes.CDLL(None)

        def in_child():
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: also when we are killed outright
            os.sched_setaffinity(0, {self.cpu})

        process = subprocess.Popen(command, preexec_fn=in_child, **options)
        self.running.append(process)
        return process

    def end(self, process, sig=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(sig)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)

    def end_all(self):
        for process in list(reversed(self.running)):
            self.end(process)


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(name):
    """Where it is, or None. The folder for administrators is not in everybody's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def wait_for_port(process, port, log):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)  # nothing tells when somebody else's program listens: asked again and again
    with open(log, errors="replace") as file:
        raise Failed("did not start: " + file.read()[-2000:].strip())


class Contestant:
    """Something to connect to: the null server itself, or a proxy in front of it."""

    def __init__(self, name, bench, user=USER):
        self.name, self.bench, self.user = name, bench, user
        self.port, self.process = 0, None

    def start(self):
        self.port = free_port()
        log = os.path.join(self.bench.folder, self.name + ".log")
        with open(log, "w") as file:
            self.process = self.bench.processes.start(
                self.command(), stdout=file, stderr=subprocess.STDOUT, cwd=self.bench.folder)
        wait_for_port(self.process, self.port, log)

    def stop(self):
        if self.process:
            self.bench.processes.end(self.process)
        self.process = None

    def write(self, name, text):
        path = os.path.join(self.bench.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path


class Direct(Contestant):
    def start(self):
        self.port = self.bench.server_port

    def stop(self):
        pass


class Relay(Contestant):
    def command(self):
        return [self.bench.program("relay"), "--port", str(self.port), "--to-port",
                str(self.bench.server_port)]


class HAProxy(Contestant):
    def command(self):
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        config = self.write("haproxy.cfg", f"""global
    nbthread 1
    maxconn {min(10000, (descriptors - 200) // 2)}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind 127.0.0.1:{self.port}
    server null 127.0.0.1:{self.bench.server_port}
""")
        return [find_program("haproxy"), "-db", "-f", config]


class Nginx(Contestant):
    def command(self):
        program = find_program("nginx")
        module = os.path.join(os.path.dirname(os.path.dirname(program)),
                              "lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};" if os.path.exists(module) else ""
        config = self.write("nginx.conf", f"""{load}
daemon off; master_process off; worker_processes 1;
pid {self.bench.folder}/nginx.pid; error_log {self.bench.folder}/nginx.error.log;
events {{ worker_connections 20000; }}
stream {{
  server {{ listen 127.0.0.1:{self.port} backlog=4096; tcp_nodelay on; proxy_timeout 1h;
           proxy_pass 127.0.0.1:{self.bench.server_port}; }}
}}
""")
        return [program, "-c", config, "-p", self.bench.folder, "-e", "nginx.error.log"]


class Router(Contestant):
    def command(self):
        if self.bench.options.router_config:
            with open(self.bench.options.router_config) as file:
                text = file.read()
        else:
            text = ROUTER_CONFIG
        state = os.path.join(self.bench.folder, "state")
        os.makedirs(state, exist_ok=True)
        config = self.write("router.yaml", text.format(
            port=self.port, admin=free_port(), http=free_port(), state=state, user=USER,
            password=PASSWORD, backend=self.bench.server_port))
        return [self.bench.router, "serve", "--config", config]


# Doubled braces are YAML's own.
ROUTER_CONFIG = """listen: {{mysql: ["127.0.0.1:{port}"], admin: "127.0.0.1:{admin}", http: "127.0.0.1:{http}"}}
workers: 1
state_dir: {state}
users:
  - {{name: {user}, password: {password}}}
tenancy: {{username_pattern: "{{user}}@{{tenant}}", unassigned: reject}}
topology:
  backends: [{{name: db1, address: "127.0.0.1:{backend}"}}]
  shards: [{{name: s1, primary: db1}}]
  tenants: [{{name: acme, shard: s1}}]
"""
