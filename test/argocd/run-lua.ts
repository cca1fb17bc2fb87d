import { runCommand } from '../cluster/run-command.ts';
import { ensureDebianParts } from '../parts/install.ts';

/** As Argo CD runs it: Lua 5.1 with base, table and the clock; no string, no io, no require. */
const harness = `
local script, object = arg[1], arg[2]
local world = { table = table, os = { time = os.time, date = os.date } }
for _, name in ipairs({ "ipairs", "pairs", "tostring", "tonumber", "type", "next", "error", "select", "unpack" }) do
  world[name] = _G[name]
end
world.obj = assert(loadstring("return " .. object))()
local function write(value)
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, one in pairs(value) do parts[#parts + 1] = string.format("%q", tostring(key)) .. ":" .. write(one) end
  return "{" .. table.concat(parts, ",") .. "}"
end
local file = assert(loadfile(script))
setfenv(file, world)
io.write(write(file()))
`;

/**
 * Runs a script of Argo CD's on an object.
 * @param object texts in it have no line ends.
 * @returns what the script returns; a list comes back with its positions for names.
 * @throws Error with what Lua said.
 */
export async function runLua(script: string, object: unknown): Promise<unknown> {
  await ensureDebianParts(['lua']);
  const { code, stdout, stderr } = await runCommand('lua5.1', ['-', script, literal(object)], harness);
  if (code !== 0) throw new Error(`${script}: ${stderr}`);
  return JSON.parse(stdout);
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(',')}}`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${fields.map(([name, one]) => `[${JSON.stringify(name)}]=${literal(one)}`).join(',')}}`;
}
