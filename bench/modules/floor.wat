;; The floor: what the Python filter does for a connection, by hand. The same callbacks, the same host calls with the same bytes, and
;; between them as little as a Wasm module can do. No Wasm filter can cost less; what Python costs is what it takes beyond this.
;; test_modules.py holds it against the filter, call by call. It reads IPv4 addresses only.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_log_level" (func $get_log_level (param i32) (result i32)))
  (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $call_foreign_function (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment_metric (param i32 i64) (result i32)))

  (memory (export "memory") 2)
  ;; 0 the property's address and size, 8 the foreign function's result, 16 the log level, 20 and 24 the counters' numbers
  (data (i32.const 32) "source\00address")
  (data (i32.const 64) "set_envoy_filter_state")
  ;; {path: envoy.tcp_proxy.cluster, value: egress-router1}, as protobuf; 64 bytes on, the other router's
  (data (i32.const 128) "\0a\17envoy.tcp_proxy.cluster\12\0eegress-router1")
  (data (i32.const 192) "\0a\17envoy.tcp_proxy.cluster\12\0eegress-router2")
  (data (i32.const 256) "[TCP WASM] Routed source ")
  (data (i32.const 384) " to egress-router1")
  (data (i32.const 448) " to egress-router2")
  (data (i32.const 512) "tcp_routing.routed.egress-router1")
  (data (i32.const 576) "tcp_routing.routed.egress-router2")
  (global $log_routes (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  ;; Everything that the host hands over is read before it hands over more.
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define_metric (i32.const 0) (i32.const 512) (i32.const 33) (i32.const 20)))
    (drop (call $define_metric (i32.const 0) (i32.const 576) (i32.const 33) (i32.const 24)))
    (drop (call $get_log_level (i32.const 16)))
    (global.set $log_routes (i32.le_u (i32.load (i32.const 16)) (i32.const 2)))
    (i32.const 1))

  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (local $address i32) (local $size i32) (local $at i32) (local $odd i32)
    (drop (call $get_property (i32.const 32) (i32.const 14) (i32.const 0) (i32.const 4)))
    (local.set $address (i32.load (i32.const 0)))
    (local.set $size (i32.load (i32.const 4)))
    ;; the digit before the colon
    (local.set $at (i32.add (local.get $address) (local.get $size)))
    (loop $back
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $back (i32.ne (i32.load8_u (local.get $at)) (i32.const 58))))
    (local.set $odd (i32.and (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (i32.const 1)))
    (drop (call $call_foreign_function
      (i32.const 64) (i32.const 22)
      (i32.add (i32.const 128) (i32.shl (local.get $odd) (i32.const 6))) (i32.const 41)
      (i32.const 8) (i32.const 12)))
    (drop (call $increment_metric
      (i32.load (i32.add (i32.const 20) (i32.shl (local.get $odd) (i32.const 2))))
      (i64.const 1)))
    (if (global.get $log_routes) (then
      (memory.copy (i32.const 281) (local.get $address) (local.get $size))
      (memory.copy
        (i32.add (i32.const 281) (local.get $size))
        (i32.add (i32.const 384) (i32.shl (local.get $odd) (i32.const 6)))
        (i32.const 18))
      (drop (call $log (i32.const 2) (i32.const 256) (i32.add (i32.const 43) (local.get $size))))))
    (i32.const 0))

  (func (export "proxy_on_delete") (param i32)))
