// Guest time in V8: `node time.mjs inside|across MODULE SHIM HOST ROUNDS BATCH CALLBACK...` prints a line of JSON, for each callback
// the nanoseconds of one call in each round. `inside`: the proxy is WebAssembly. `across`: its host calls are JavaScript, so that each
// crosses the engine's border, as it does in Envoy.
import fs from "node:fs";

const [where, module, shim, host, rounds, batch, ...callbacks] = process.argv.slice(2);
const compile = (file) => new WebAssembly.Module(fs.readFileSync(file));
const compiled = compile(module);
const calls = new WebAssembly.Instance(compile(shim), {}).exports;
const imports = {};
for (const { module: namespace, name } of WebAssembly.Module.imports(compiled))
    (imports[namespace] ??= {})[name] = calls[`${namespace}.${name}`];
if (where === "across") Object.assign(imports.env ?? {}, javascript());
const guest = new WebAssembly.Instance(compiled, imports).exports;
const loops = new WebAssembly.Instance(compile(host), { module: guest, shim: calls }).exports;

// The host calls of a connection; what is called once stays as it is.
function javascript() {
    const source = new TextEncoder().encode("127.22.0.10:42148");
    return {
        proxy_get_property: (path, size, address, length) => {
            const at = guest.proxy_on_memory_allocate(source.length);
            const view = new DataView(guest.memory.buffer);
            new Uint8Array(guest.memory.buffer).set(source, at);
            view.setUint32(address, at, true);
            view.setUint32(length, source.length, true);
            return 0;
        },
        proxy_call_foreign_function: () => 0,
        proxy_increment_metric: () => 0,
        proxy_log: () => 0,
    };
}

guest._initialize?.();
guest.proxy_on_context_create(1, 0);
if (!guest.proxy_on_vm_start(1, 0) || !guest.proxy_on_configure(1, 10)) throw new Error("the module refuses its configuration");

const found = Object.fromEntries(callbacks.map((name) => [name, []]));
for (let round = 0, id = 2; round < Number(rounds); round++, id += Number(batch))
    for (const name of callbacks) {
        const started = process.hrtime.bigint();
        loops[name](1, id, id + Number(batch));
        found[name].push(Number(process.hrtime.bigint() - started) / Number(batch));
    }
console.log(JSON.stringify(found));
