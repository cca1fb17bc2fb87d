import type { IpAccessList } from '../operator/api/index.ts';
import type { Snapshot } from '../operator/compile/model.ts';
import { expandRange, formatRange } from '../policy/ip/range.ts';
import type { Because } from '../policy/types.ts';

/**
 * What the author of a list wrote beside an entry: the note of `entries`, or the `#` comment on its line in `text` or in a
 * ConfigMap. The bundle holds entries in canonical form, so what was written is brought into it for the comparison.
 */
export function findNote(snapshot: Snapshot, { kind, name, entry }: Because): string | undefined {
  const object = snapshot.objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (object?.kind !== 'IpAccessList') return undefined;
  const isWanted = (text: string): boolean =>
    expandRange(text)?.some((range) => formatRange(range) === entry) === true;
  const annotated = object.spec.entries.find(({ address, note }) => note !== undefined && isWanted(address));
  if (annotated?.note !== undefined) return annotated.note;
  return texts(object, snapshot).flatMap((text) => commentsOf(text, isWanted))[0];
}

function texts(list: IpAccessList, snapshot: Snapshot): readonly string[] {
  const fromMaps = list.spec.entriesFrom.map(({ configMapKeyRef }) => {
    const { name, key } = configMapKeyRef;
    return snapshot.configMaps.find((map) => map.name === name)?.data[key] ?? '';
  });
  return [list.spec.text ?? '', ...fromMaps];
}

function commentsOf(text: string, isWanted: (entry: string) => boolean): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const hash = line.indexOf('#');
    if (hash === -1) return [];
    const entries = line
      .slice(0, hash)
      .split(/[\s,]+/)
      .filter((entry) => entry !== '');
    return entries.some(isWanted) ? [line.slice(hash + 1).trim()] : [];
  });
}
