from proxy_wasm.testing.lifecycle import Vm


def test_a_tick_lets_go_of_those_that_still_wait(vm: Vm) -> None:
    patient, impatient = vm.exchange(), vm.exchange()
    patient.request()
    impatient.request()
    impatient.close()
    assert vm.host.lines() == [f"postpone request {made.context_id}" for made in (patient, impatient)]
    vm.tick()
    assert patient.upstream.ended and not impatient.upstream.ended
    assert vm.host.lines()[-1] == f"resume request {patient.context_id}"
