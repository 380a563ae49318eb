"""What happens when a part of the stack goes away: only what depended on it fails, and it recovers by itself."""

from __future__ import annotations

import subprocess

from tests.compose.conftest import CLIENT_NAMES, MODULE, ROUTERS, Stack, run, wait_for

EVEN, ODD = 0, 1

# curl's exit statuses for a connection that was closed or reset without an answer; 28 is its own patience.
CLOSED = (52, 56)


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_router_stops(stack: Stack) -> None:
    loop = "for i in $(seq 80); do curl --silent --show-error --max-time 60 http://envoy:10000/ip; sleep 0.1; done"
    other = start(["docker", "exec", CLIENT_NAMES[EVEN], "sh", "-c", loop])
    stack.compose("stop", ROUTERS[ODD])
    # Envoy closes them: at first when connecting fails, then at once, when the name is gone.
    for _ in range(5):
        assert run(*stack.curl(ODD), check=False).returncode in CLOSED
    stack.compose("start", ROUTERS[ODD])
    assert wait_for(lambda: stack.answered(ODD))
    answers, _ = other.communicate()
    assert answers.count(ROUTERS[EVEN]) == 80, answers
    assert len(answers.splitlines()) == 80, answers


def test_a_router_is_paused(stack: Stack) -> None:
    stack.compose("pause", ROUTERS[ODD])
    try:
        waiting = start(stack.curl(ODD, seconds=600))
        for _ in range(10):
            assert stack.answered(EVEN)
        # The kernel accepts for the router, and so the connection waits.
        assert waiting.poll() is None
    finally:
        stack.compose("unpause", ROUTERS[ODD])
    answer, _ = waiting.communicate()
    assert ROUTERS[ODD] in answer
    assert wait_for(lambda: stack.inspect(ROUTERS[ODD], "{{.State.Health.Status}}") == "healthy")


def test_envoy_is_killed(stack: Stack) -> None:
    before = int(stack.inspect("envoy", "{{.RestartCount}}"))
    kill = 'for p in /proc/[0-9]*; do if [ "$(<$p/comm)" = envoy ]; then kill -KILL ${p#/proc/}; fi; done'
    stack.compose("exec", "-T", "envoy", "bash", "-c", kill, check=False)
    assert wait_for(lambda: int(stack.inspect("envoy", "{{.RestartCount}}")) == before + 1)
    assert wait_for(lambda: stack.inspect("envoy", "{{.State.Health.Status}}") == "healthy")
    assert stack.answered(EVEN)
    assert stack.answered(ODD)


def test_a_corrupt_module(stack: Stack) -> None:
    module = stack.directory / MODULE
    good = module.read_bytes()
    module.unlink()
    module.write_bytes(good[: len(good) // 2])
    refused = stack.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "envoy", check=False)
    assert refused.returncode
    assert "envoy-1" in refused.stderr
    log = "\n".join(stack.log())
    assert "Failed to parse corrupted Wasm module" in log
    assert "Unable to create Wasm plugin envoy_tcp_routing_filter" in log
    module.unlink()
    module.write_bytes(good)
    stack.compose("rm", "--stop", "--force", "envoy")
    stack.up()
    assert stack.answered(EVEN)
    assert stack.answered(ODD)
