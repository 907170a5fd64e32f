/** Figures of single links that are slow or keep dropping. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { startThrottleProxy } from "../../test/support/throttle-proxy.ts";
import type { ThrottleProxy } from "../../test/support/throttle-proxy.ts";
import { coordinatorEnd, deviceEnd, noise, withFolder } from "./ends.ts";
import type { End } from "./ends.ts";
import { MIB, rounded } from "./figure.ts";
import type { Figure, Length, Outcome } from "./figure.ts";
import { startBrokerProcess } from "./processes.ts";

const BYTES_PER_SECOND = 50_000;
const MAX_SECONDS = 44;
const CUT_EVERY_MS = 300;
const MAX_TWICE_SHARE = 0.05;

interface Site {
  readonly hub: End;
  readonly hubStore: DiskBlobStore;
  readonly device: End;
  readonly deviceStore: DiskBlobStore;
  readonly proxy: ThrottleProxy;
}

async function withSite<T>(
  limits: { upBytesPerSecond?: number; downBytesPerSecond?: number },
  keepaliveSeconds: number,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const broker = await startBrokerProcess();
    const proxy = await startThrottleProxy({ targetPort: broker.port, ...limits });
    const hubStore = await DiskBlobStore.at(join(folder, "hub"));
    const deviceStore = await DiskBlobStore.at(join(folder, "device"));
    const hub = await coordinatorEnd(broker.port, hubStore);
    const device = await deviceEnd(proxy.port, "gw", deviceStore, { keepaliveSeconds });
    try {
      return await work({ hub, hubStore, device, deviceStore, proxy });
    } finally {
      await Promise.all([hub.close(), device.close()]);
      await proxy.close();
      await broker.child.kill();
    }
  });
}

/** Seconds and disconnects of one blob in one direction. */
async function crossing(
  isUp: boolean,
  sizeBytes: number,
): Promise<{ seconds: number; disconnects: number; linkShare: number }> {
  const limits = { upBytesPerSecond: BYTES_PER_SECOND, downBytesPerSecond: BYTES_PER_SECOND };
  return withSite(limits, 6, async ({ hub, hubStore, device, deviceStore, proxy }) => {
    const from = isUp ? deviceStore : hubStore;
    const blob = await from.put(noise(sizeBytes, "slow"));
    const puller = isUp ? hub : device;
    const beforeBytes = isUp ? proxy.bytesUp : proxy.bytesDown;
    const startMs = performance.now();
    await puller.plane.pull({ device: "gw", blob, maxBytes: sizeBytes });
    const seconds = (performance.now() - startMs) / 1000;
    const crossedBytes = (isUp ? proxy.bytesUp : proxy.bytesDown) - beforeBytes;
    return {
      seconds,
      disconnects: proxy.connections - 1,
      linkShare: crossedBytes / (seconds * BYTES_PER_SECOND),
    };
  });
}

async function measureSlow({ isShort }: Length): Promise<Outcome> {
  const sizeBytes = isShort ? 0.25 * MIB : 2 * MIB;
  const [down, up] = await Promise.all([crossing(false, sizeBytes), crossing(true, sizeBytes)]);
  const disconnects = down.disconnects + up.disconnects;
  const isQuick = isShort || Math.max(down.seconds, up.seconds) <= MAX_SECONDS;
  return {
    ok: isQuick && disconnects === 0,
    shown: `${down.seconds.toFixed(1)} s down, ${up.seconds.toFixed(1)} s up, ${disconnects} disconnects`,
    values: {
      sizeBytes,
      downSeconds: rounded(down.seconds),
      upSeconds: rounded(up.seconds),
      disconnects,
      downLinkShare: rounded(down.linkShare),
      upLinkShare: rounded(up.linkShare),
    },
  };
}

async function measureCuts({ isShort }: Length): Promise<Outcome> {
  const sizeBytes = (isShort ? 2 : 16) * MIB;
  return withSite({ downBytesPerSecond: 4_000_000 }, 30, async (site) => {
    const { hubStore, device, deviceStore, proxy } = site;
    const content = noise(sizeBytes, "cuts");
    const blob = await hubStore.put(content);
    const beforeBytes = proxy.bytesDown;
    let cuts = 0;
    const cutting = setInterval(() => {
      proxy.cut();
      cuts += 1;
    }, CUT_EVERY_MS);
    const startMs = performance.now();
    const report = await device.plane
      .pull({ device: "gw", blob, maxBytes: sizeBytes })
      .finally(() => clearInterval(cutting));
    const seconds = (performance.now() - startMs) / 1000;
    const isWhole = readFileSync(deviceStore.pathOf(blob.root)).equals(content);
    const twiceShare = report.wastedBytes / sizeBytes;
    return {
      ok: isWhole && twiceShare < MAX_TWICE_SHARE,
      shown: `${(100 * twiceShare).toFixed(2)} % twice, ${cuts} cuts, ${isWhole ? "same" : "other"} bytes`,
      values: {
        sizeBytes,
        seconds: rounded(seconds),
        cuts,
        twiceBytes: report.wastedBytes,
        twiceShare: rounded(twiceShare),
        // Headers, and what was on its way in each cut and never arrived whole.
        linkExtraShare: rounded((proxy.bytesDown - beforeBytes) / sizeBytes - 1),
        hashFailures: isWhole ? 0 : 1,
      },
    };
  });
}

export const slowLinks: readonly Figure[] = [
  {
    name: "slow-link",
    aim: `2 MiB at 50 KB/s, keepalive 6 s: <= ${MAX_SECONDS} s each way, 0 disconnects`,
    measure: measureSlow,
  },
  {
    name: "cuts",
    aim: "links cut every 300 ms: < 5 % of bytes twice, the same bytes on disk",
    measure: measureCuts,
  },
];
