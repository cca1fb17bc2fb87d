import { readFile } from 'node:fs/promises';

/** Resident memory of a process, in bytes: now, and the most that it ever had (VmRSS and VmHWM of /proc/<pid>/status). */
export async function memoryOf(pid: number): Promise<{ resident: number; most: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { resident: bytesOf('VmRSS'), most: bytesOf('VmHWM') };
}
