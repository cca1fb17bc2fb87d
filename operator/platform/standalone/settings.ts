import {
  type MtaSettings,
  mtaConfigMapName,
  mtaSettingsKey,
  type Problem,
  parseMtaSettings,
  problemText,
} from '../../api/index.ts';
import type { MtaRecord } from '../../compile/model.ts';
import type { FolderContents } from './contents.ts';
import { toFieldPath } from './contents.ts';
import { type FolderProblem, showValue } from './problem.ts';
import type { Store } from './store.ts';

/** The one MTA of a standalone process. */
export const standaloneMta = 'default';

export interface ReadSettings {
  readonly settings: MtaRecord['settings'];
  readonly problems: readonly FolderProblem[];
}

/**
 * The settings of the MTA: the document `mta.yaml` of the folder, or the ConfigMap that a cluster would hold, or else just the
 * name of this machine.
 */
export function readSettings(contents: FolderContents, store: Store, hostName: string): ReadSettings {
  const { settings } = contents;
  if (settings !== undefined) {
    const parsed = parseMtaSettings(JSON.stringify(settings.value));
    if (parsed.ok) return { settings: { ok: true, value: parsed.settings }, problems: [] };
    const problems = parsed.problems.map(({ path, message, value }): FolderProblem => {
      const shown = showValue(value);
      const place = { position: settings.document.locate(toFieldPath(path)), field: path, message };
      return shown === undefined ? place : { ...place, value: shown };
    });
    return { settings: { ok: false, problem: summary(mtaSettingsKey, parsed.problems) }, problems };
  }
  const configMap = store.configMaps.get(mtaConfigMapName(standaloneMta))?.data[mtaSettingsKey];
  const parsed = parseMtaSettings(configMap ?? JSON.stringify({ heloName: hostName }));
  if (parsed.ok) return { settings: { ok: true, value: parsed.settings }, problems: [] };
  const source =
    configMap === undefined ? 'the name of this machine' : `ConfigMap ${mtaConfigMapName(standaloneMta)}`;
  return { settings: { ok: false, problem: summary(source, parsed.problems) }, problems: [] };
}

/** Settings that are not usable leave those in force that were. */
export function keepGood(read: ReadSettings, before: MtaSettings | undefined): MtaRecord['settings'] {
  return read.settings.ok || before === undefined ? read.settings : { ok: true, value: before };
}

function summary(source: string, problems: readonly Problem[]): string {
  return `${source}: ${problems.map(problemText).join('; ')}`;
}
