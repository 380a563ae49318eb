// The module's side: `node --no-liftoff module.mjs MODULE` runs the workloads in V8. A line asks for one, and a line answers with its
// nanoseconds. The first line says which V8 this is.
import fs from "node:fs";

const OK = 0, NOT_FOUND = 1, ERROR = 4;
const compiled = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
let guest;
const view = () => new DataView(guest.memory.buffer);
const calls = {
    proxy_get_property: () => NOT_FOUND,
    proxy_get_buffer_bytes: () => NOT_FOUND,
    proxy_get_log_level: (address) => (view().setUint32(address, ERROR, true), OK),
    proxy_log: (level, address, size) => {
        if (level >= ERROR) process.stderr.write(`${Buffer.from(guest.memory.buffer, address, size)}\n`);
        return OK;
    },
    environ_sizes_get: (count, size) => (view().setUint32(count, 0, true), view().setUint32(size, 0, true), OK),
    clock_time_get: (clock, precision, address) => (view().setBigUint64(address, process.hrtime.bigint(), true), OK),
};
const imports = {};
for (const { module, name } of WebAssembly.Module.imports(compiled)) (imports[module] ??= {})[name] = calls[name] ?? (() => OK);
guest = new WebAssembly.Instance(compiled, imports).exports;
guest._initialize?.();
guest.proxy_on_context_create(1, 0);

console.log(JSON.stringify(["V8", process.versions.v8, `Node ${process.versions.node}`]));
const chunk = Buffer.alloc(1 << 10);
let text = "";
for (let size; (size = fs.readSync(0, chunk)); ) {
    text += chunk.toString("latin1", 0, size);
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
        const asked = Number(text.slice(0, end));
        const started = process.hrtime.bigint();
        guest.proxy_on_queue_ready(1, asked);
        fs.writeSync(1, `${process.hrtime.bigint() - started}\n`);
    }
}
