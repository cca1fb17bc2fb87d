/**
 * Preloaded into the MTA child: when the standalone process is gone, however it went, the child drains and ends, so no orphan
 * keeps the ports and the queue. The channel itself keeps nothing alive.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
