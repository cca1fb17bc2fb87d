import { folderProblemText } from '../operator/platform/standalone/problem.ts';
import type { StandaloneEvents } from '../operator/platform/standalone/standalone.ts';
import type { Format } from './output.ts';
import type { Shell } from './shell.ts';
import { isReady, statusScreen } from './status-table.ts';

const clearScreen = '\u001b[H\u001b[2J';

/**
 * What `postern standalone` shows: a table that is always current on a terminal, lines that tell what changed elsewhere, JSON lines
 * for programs. The line `ready ...` comes in each of the first two, since scripts wait for it.
 */
export function standaloneScreen(shell: Shell, format: Format): StandaloneEvents {
  if (format !== 'table') return jsonLines(shell);
  return shell.isTerminal ? liveTable(shell) : plainLines(shell);
}

function jsonLines(shell: Shell): StandaloneEvents {
  const tell = (event: string, detail: object) => shell.write(`${JSON.stringify({ event, ...detail })}\n`);
  return {
    ready: (addresses) => tell('ready', { addresses }),
    reported: (statuses, problems) => {
      const objects = [...statuses.values()].map((row) => ({
        kind: row.kind,
        name: row.name,
        ready: isReady(row),
      }));
      tell('status', { objects, problems });
    },
    trouble: (message) => tell('trouble', { message }),
  };
}

function liveTable(shell: Shell): StandaloneEvents {
  let ready = '';
  let table = '';
  let trouble = '';
  const draw = () =>
    shell.write(`${clearScreen}${[ready, table, trouble].filter((part) => part !== '').join('\n\n')}\n`);
  return {
    ready: (addresses) => {
      ready = readyLine(addresses);
      draw();
    },
    reported: (statuses, problems) => {
      table = statusScreen([...statuses.values()], problems);
      draw();
    },
    trouble: (message) => {
      trouble = message;
      draw();
    },
  };
}

function plainLines(shell: Shell): StandaloneEvents {
  let before = new Map<string, string>();
  let told = new Set<string>();
  return {
    ready: (addresses) => shell.write(`${readyLine(addresses)}\n`),
    reported: (statuses, problems) => {
      const now = new Map([...statuses].map(([key, row]) => [key, readiness(row)]));
      for (const [key, text] of now) {
        if (before.get(key) !== text) shell.warn(`${key}: ${text}`);
      }
      for (const key of before.keys()) {
        if (!now.has(key)) shell.warn(`${key}: gone`);
      }
      const lines = problems.map(folderProblemText);
      for (const line of lines) {
        if (!told.has(line)) shell.warn(line);
      }
      before = now;
      told = new Set(lines);
    },
    trouble: (message) => shell.warn(message),
  };
}

function readyLine(addresses: Readonly<Record<string, string>>): string {
  return ['ready', ...Object.entries(addresses).map(([name, address]) => `${name}=${address}`)].join(' ');
}

function readiness({ status }: Parameters<typeof isReady>[0]): string {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  if (ready === undefined) return 'Ready=Unknown';
  return ready.status === 'True' ? 'Ready' : `Ready=${ready.status} ${ready.reason}: ${ready.message}`;
}
