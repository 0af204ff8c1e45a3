// The same delivery with graphile-worker and undici: `node worker.mjs fill COUNT | feed RATE SECONDS | fan EVENTS EACH | work`.
// Postgres is named by PG… variables, the receiver by BENCH_URL, the event by BENCH_EVENT.
import { createHmac, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { Pool } from "undici";

const { head, tail, secret, url } = JSON.parse(process.env.BENCH_DELIVERY);
const AT_ONCE = 5_000; // jobs in one call
const IN_FLIGHT = 64;
const CALLERS = 32; // that enqueue events at a time

const pgPool = new pg.Pool({ max: 20 });

async function fill(count) {
  const utils = await makeWorkerUtils({ pgPool });
  await utils.migrate();
  for (let first = 0; first < count; first += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - first);
    const jobs = Array.from({ length }, (_, index) => {
      const number = String(first + index).padStart(12, "0");
      return { identifier: "deliver", payload: { id: randomUUID(), body: head + number + tail } };
    });
    await utils.addJobs(jobs);
  }
  await utils.release();
}

async function feed(rate, seconds) {
  const utils = await makeWorkerUtils({ pgPool });
  console.log(String(process.hrtime.bigint())); // CLOCK_MONOTONIC: when the first job is due
  const began = performance.now();
  const adding = [];
  for (let index = 0; index < rate * seconds; index += 1) {
    const early = began + (index / rate) * 1_000 - performance.now();
    if (early > 0) await sleep(early);
    const body = head + String(index).padStart(12, "0") + tail;
    adding.push(utils.addJob("deliver", { id: randomUUID(), body }));
  }
  await Promise.all(adding);
  await utils.release();
}

async function fan(events, each) {
  const utils = await makeWorkerUtils({ pgPool });
  let next = 0;
  async function call() {
    while (next < events) {
      const first = next++ * each;
      const jobs = Array.from({ length: each }, (_, index) => {
        const number = String(first + index).padStart(12, "0");
        return { identifier: "deliver", payload: { id: randomUUID(), body: head + number + tail } };
      });
      await utils.addJobs(jobs);
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, call));
  await utils.release();
}

async function work() {
  const target = new URL(url);
  const receiver = new Pool(target.origin, { connections: IN_FLIGHT });
  const standardKey = Buffer.from(secret, "base64");
  async function deliver({ id, body }) {
    const timestamp = String(Math.floor(Date.now() / 1000));
    const standard = createHmac("sha256", standardKey).update(`${id}.${timestamp}.${body}`);
    const answer = await receiver.request({
      path: target.pathname,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-signature": createHmac("sha256", secret).update(body).digest("hex"),
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": `v1,${standard.digest("base64")}`,
      },
      body,
      headersTimeout: 5_000,
      bodyTimeout: 5_000,
    });
    await answer.body.dump();
    if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(answer.statusCode);
  }
  const runner = await run({
    pgPool,
    taskList: { deliver },
    preset: {
      worker: {
        concurrentJobs: IN_FLIGHT,
        localQueue: { size: 500 }, // jobs are fetched in batches
        completeJobBatchDelay: 0, // and completed in batches
        failJobBatchDelay: 0,
      },
    },
  });
  await runner.promise;
}

const [what, ...numbers] = process.argv.slice(2);
const enqueuing = { fill, feed, fan };
if (what in enqueuing) {
  await enqueuing[what](...numbers.map(Number));
  await pgPool.end();
} else {
  await work();
}
