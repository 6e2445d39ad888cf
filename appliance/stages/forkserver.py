"""The fork server: loads everything once and makes stages by forking, so that a restart is quick.

    run as    python -m appliance.stages.forkserver FD          FD: one end of a SEQPACKET pair
    boot      imports every stage, compiles or loads its kernels by running them once on a tiny core
              and a null port, freezes the collector
              -> {"op": "ready", "compiled": n}
    request   {"stage": "matcher", "name": "matcher@0", "arguments": [...], "cpus": [...],
               "wait": "yield", "realtime": 0, "notify": path, "names": [...]} + descriptors kept
              for the stage
              -> {"op": "forked", "pid": n} + [pidfd]

A matcher that died is back after a fork instead of an interpreter's start and two seconds of
loading, and all matchers share the memory of what is the same in all. The stage is forked twice and
becomes a child of the launcher, which adopts orphans: the death of the fork server harms no stage.
"""

import array
import faulthandler
import gc
import importlib
import os
import signal
import socket
import sys
import traceback

import numpy as np

from appliance import faultpoint
from appliance.host import cores
from appliance.native import lib
from appliance.shm import cache
from appliance.stages import link

STAGES = ("matcher", "portd", "recovery", "journal", "shadow")
# Made here too, but imported by the child: nobody waits for it.
LATER = {"metrics": "appliance.observe.metrics"}
KEEPERS = ("portd", "metrics")         # get descriptors of the launcher's
_PID = array.array("i", [0]).itemsize


def warm() -> int:
    """Imports all stages and runs the kernels that they enter; how many had to be compiled."""
    faultpoint.arm()
    cache.use_cache()
    for name in STAGES:
        importlib.import_module(f"appliance.stages.{name}")
    from appliance.hot import burst, image, io_state, state, symbols
    from appliance.journal import warm as journal
    from appliance.shm import recycler, umem
    sizes = state.Sizes(symbols=1, accounts=1, pages=16, lg_ladder=12, far_cap=16, far_levels=64,
                        chunks=16, feed_bytes=1 << 20, feed_messages=1 << 12, journal=1 << 10,
                        holds=4, link_depth=64)
    core, io = state.build(sizes, partition=0), io_state.build_io(sizes)
    port = umem.make_null_port((), 64)
    symbols.index_symbols(core.book.symbols)
    params = io_state.fill_params(io, our_ip="127.0.0.1", order_port=1, feed_ip_a="239.0.0.1",
                                  feed_port_a=1, allow_cnt=0, idle_polls=2, run_cycles=1 << 62)
    burst.start_day(core, port, io, params)
    burst.run(core, port, io, params)
    burst.ended(core, io)
    journal.load(core)
    seen = image.build_image(sizes, core.feed.log, core.feed.ring, core.feed.index)
    image.follow(seen, 0, 0)
    image.write_orders(seen, np.zeros(0, np.int64), core.feed.ring, 0)
    assert recycler.recycle.signatures
    return cache.count_kernels()[0]


def fork(request: dict, fds: list[int], launcher: int, ours) -> int:
    """Makes a stage, a child of process `launcher`; its process number."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.close(writer)
            _become(request, fds, launcher, ours)
        os.write(writer, pid.to_bytes(_PID, sys.byteorder))
        os._exit(0)
    os.close(writer)
    os.waitpid(between, 0)
    pid = int.from_bytes(os.read(reader, _PID), sys.byteorder)
    os.close(reader)
    return pid


def _become(request, fds, launcher, ours):
    """The forked child: the stage, and nothing after it."""
    code = 1
    try:
        ours.close()
        while os.getppid() != launcher:          # the process in between is just ending
            if os.getppid() == 1 and launcher != 1:
                os._exit(1)
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        faulthandler.register(signal.SIGUSR2)    # where it is, when the launcher finds it hung
        lib.wm_die_with_parent(signal.SIGTERM)
        os.environ[cores.REST_VARIABLE] = ",".join(map(str, os.sched_getaffinity(0)))
        cores.pin(request["cpus"])
        _hurry(request)
        os.environ[cores.WAIT_VARIABLE] = request["wait"]
        os.environ["NOTIFY_SOCKET"] = request["notify"]
        with open("/proc/self/comm", "w") as name:
            name.write(f"wm-{request['name']}")
        name = request["stage"]
        stage = importlib.import_module(LATER.get(name, f"appliance.stages.{name}"))
        kept = dict(zip(request["names"], fds, strict=True))
        more = {"kept": kept} if name in KEEPERS else {}
        code = stage.main(request["arguments"], **more)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:                        # the child must not return into the server
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _hurry(request):
    try:
        cores.hurry(request["realtime"])
    except OSError as error:
        print(f"{request['name']}: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def serve(sock: socket.socket, launcher: int) -> None:
    """Answers requests until the launcher closes its end."""
    while True:
        request, fds = link.receive(sock)
        if not request:
            return
        if request.get("stage") not in (*STAGES, *LATER):
            link.send(sock, {"op": "refused", "why": f"no stage {request.get('stage')!r}"})
            continue
        pid = fork(request, fds, launcher, sock)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        link.send(sock, {"op": "forked", "pid": pid}, [pidfd])
        os.close(pidfd)


def main(arguments=None) -> int:
    """Exit codes: 0 the launcher is gone or has closed its end."""
    fd = int((arguments or sys.argv[1:])[0])
    lib.wm_die_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    launcher = os.getppid()
    sock = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    compiled = warm()
    gc.collect()
    gc.freeze()
    link.send(sock, {"op": "ready", "compiled": compiled})
    serve(sock, launcher)
    return 0


if __name__ == "__main__":
    sys.exit(main())
