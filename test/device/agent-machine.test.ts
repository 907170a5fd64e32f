/** The agent machine: the plain course, what supersedes what, and random histories against invariants. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type AgentEffect,
  type AgentInput,
  type AgentState,
  type FinishedWork,
  newAgent,
  stepAgent,
  workKey,
} from "../../src/device/agent-machine.ts";
import type { TrainTask, WantedState } from "../../src/protocol/messages.ts";
import { REPORT, TASK } from "../support/messages.ts";

/** Drives one agent; numbers the commands and keeps the effects of the last input. */
class Agent {
  state: AgentState;
  effects: AgentEffect[] = [];
  #seq = 0;

  constructor(finished: FinishedWork | null = null) {
    this.state = newAgent(finished);
  }

  feed(input: AgentInput): this {
    [this.state, this.effects] = stepAgent(this.state, input);
    return this;
  }

  command(wanted: WantedState, epoch = 1): this {
    return this.feed({ kind: "command", epoch, seq: ++this.#seq, wanted });
  }

  /** News about the work under way. */
  news(kind: "base-ready" | "adapter-ready"): this {
    return this.feed({ kind, serial: this.state.serial });
  }

  trained(finished: FinishedWork): this {
    return this.feed({ kind: "trained", serial: this.state.serial, finished });
  }

  broke(reason: string): this {
    return this.feed({ kind: "broke", serial: this.state.serial, reason });
  }

  kinds(): string[] {
    return this.effects.map(({ kind }) => kind);
  }
}

const inRound = (round: number, attempt = 1): TrainTask => ({ ...TASK, round, attempt });
const workOf = (task: TrainTask, root = `update-${task.round}`): FinishedWork => {
  return { key: workKey(task), blob: { root, sizeBytes: 10 }, report: REPORT };
};

/** An agent that has been commanded to train `task` and has done so. */
function uploading(task: TrainTask): Agent {
  const agent = new Agent().feed({ kind: "connected" }).command(task);
  return agent.news("base-ready").news("adapter-ready").trained(workOf(task));
}

test("a device fetches, trains, offers until it is answered, and rests", () => {
  const agent = new Agent().feed({ kind: "connected" });
  assert.deepEqual(agent.kinds(), ["hello"]);
  assert.deepEqual(
    agent.feed({ kind: "beat" }).kinds(),
    ["hello"],
    "until the coordinator answers",
  );
  assert.deepEqual(agent.command(TASK).kinds(), ["watch-deadline", "get-base"]);
  assert.deepEqual(agent.news("base-ready").kinds(), ["get-adapter"]);
  assert.deepEqual(agent.news("adapter-ready").kinds(), ["train"]);
  assert.deepEqual(agent.trained(workOf(TASK)).kinds(), ["remember", "offer"]);
  assert.deepEqual(agent.feed({ kind: "beat" }).kinds(), ["heartbeat", "offer"]);
  agent.feed({ kind: "accepted", root: "update-1" });
  assert.equal(agent.state.phase, "idle");
  assert.deepEqual(agent.feed({ kind: "beat" }).kinds(), ["heartbeat"]);
});

test("a repeated command, a new attempt and a new incarnation do not disturb the same work", () => {
  const agent = new Agent().command(TASK).news("base-ready").news("adapter-ready");
  const { serial } = agent.state;
  assert.deepEqual(agent.command(TASK).kinds(), ["watch-deadline"]);
  assert.deepEqual(agent.command(inRound(1, 2)).kinds(), ["watch-deadline"]);
  assert.deepEqual(agent.command(inRound(1, 2), 2).kinds(), ["watch-deadline"]);
  assert.equal(agent.state.phase, "training");
  assert.equal(agent.state.serial, serial);
  assert.equal(agent.trained(workOf(TASK)).kinds().at(-1), "offer");
  assert.deepEqual(agent.effects.at(-1), {
    kind: "offer",
    round: 1,
    attempt: 2,
    finished: workOf(TASK),
  });
});

test("other work supersedes what goes on, and news of the old work is ignored", () => {
  const agent = new Agent().command(inRound(1)).news("base-ready");
  const old = agent.state.serial;
  assert.deepEqual(agent.command(inRound(2)).kinds(), ["abort", "watch-deadline", "get-base"]);
  agent.feed({ kind: "adapter-ready", serial: old });
  assert.equal(agent.state.phase, "base");
  assert.deepEqual(agent.command({ kind: "idle" }).kinds(), ["abort"]);
  assert.equal(agent.state.phase, "idle");
});

test("commands of an older incarnation and overtaken ones are ignored", () => {
  const agent = new Agent().command(TASK, 5);
  const { state } = agent;
  agent.feed({ kind: "command", epoch: 4, seq: 99, wanted: { kind: "idle" } });
  agent.feed({ kind: "command", epoch: 5, seq: state.seq, wanted: { kind: "idle" } });
  assert.equal(agent.state, state);
});

test("finished work is offered again after a restart, a lost answer or a restart of the coordinator", () => {
  const agent = new Agent(workOf(TASK)).command(TASK);
  assert.deepEqual(agent.kinds(), ["watch-deadline", "offer"]);
  agent.feed({ kind: "accepted", root: "update-1" });
  assert.deepEqual(agent.command(inRound(1, 2)).kinds(), ["watch-deadline", "offer"]);
});

test("finished work of an earlier round or of another run is thrown away when new work begins", () => {
  for (const other of [inRound(2), { ...TASK, run: "run-00002" }]) {
    const agent = new Agent(workOf(TASK)).command(other);
    assert.deepEqual(agent.kinds(), ["forget", "watch-deadline", "get-base"]);
  }
});

test("a failure is reported until it is heard, and the same attempt is not tried again", () => {
  const agent = new Agent().command(TASK).broke("out of memory");
  assert.deepEqual(agent.effects, [
    { kind: "fail", round: 1, attempt: 1, reason: "out of memory" },
  ]);
  assert.deepEqual(agent.feed({ kind: "beat" }).kinds(), ["heartbeat", "fail"]);
  assert.deepEqual(agent.command(TASK).kinds(), ["fail"]);
  assert.deepEqual(agent.command(inRound(1, 2)).kinds(), ["watch-deadline", "get-base"]);
});

test("a plan refused for lack of memory is reported with what there is", () => {
  const [agent, lack] = [new Agent().command(TASK), { reason: "too large", tensorBytes: 7 }];
  agent.feed({ kind: "broke", serial: agent.state.serial, ...lack });
  const fail = { kind: "fail", round: 1, attempt: 1, ...lack };
  assert.deepEqual(agent.effects, [fail]);
  assert.deepEqual(agent.feed({ kind: "beat" }).effects.at(-1), fail);
});

test("a refusal of the update itself is a failure, a late one is not", () => {
  const late = uploading(TASK).feed({ kind: "rejected", root: "update-1", reason: "late" });
  assert.equal(late.state.phase, "idle");
  assert.equal(late.state.failure, null);
  const bad = uploading(TASK).feed({ kind: "rejected", root: "update-1", reason: "not-finite" });
  assert.deepEqual(bad.kinds(), ["forget", "fail"]);
  const other = uploading(TASK).feed({ kind: "rejected", root: "else", reason: "not-finite" });
  assert.equal(other.state.phase, "uploading");
});

test("work whose deadline has passed is dropped", () => {
  const agent = new Agent().command(TASK).news("base-ready");
  assert.deepEqual(agent.feed({ kind: "overdue", serial: agent.state.serial }).kinds(), ["abort"]);
  assert.equal(agent.state.phase, "idle");
});

test("a coordinator that does not know the device makes it say hello until it is answered", () => {
  const agent = new Agent().command(TASK, 3);
  assert.deepEqual(agent.feed({ kind: "resync", epoch: 2 }).kinds(), []);
  assert.deepEqual(agent.feed({ kind: "resync", epoch: 4 }).kinds(), ["hello"]);
  assert.deepEqual(agent.feed({ kind: "beat" }).kinds(), ["hello"]);
  assert.equal(agent.state.phase, "base", "the work goes on meanwhile");
  agent.feed({ kind: "command", epoch: 4, seq: 1, wanted: TASK });
  assert.equal(agent.feed({ kind: "beat" }).kinds()[0], "heartbeat");
});

test("the end of the run ends the agent, the end of a run it took no part in does not", () => {
  assert.deepEqual(new Agent().command({ kind: "finished", reason: "done" }).kinds(), ["end"]);
  const agent = new Agent().command(TASK, 7);
  assert.deepEqual(agent.feed({ kind: "epoch", epoch: 7, status: "ended" }).kinds(), [
    "abort",
    "end",
  ]);
  assert.deepEqual(new Agent().feed({ kind: "epoch", epoch: 7, status: "ended" }).effects, []);
});

const tasks = [inRound(1), inRound(1, 2), inRound(2), { ...inRound(1), run: "run-00002" }];
type Move = (state: AgentState) => AgentInput;
const slip = fc.constantFrom(0, 0, 0, 0, -1);
const anyMove: fc.Arbitrary<Move> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Move>(() => ({ kind: "connected" })) },
  { weight: 2, arbitrary: fc.constant<Move>(() => ({ kind: "beat" })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(3), fc.constantFrom("here" as const, "gone" as const))
      .map(([epoch, status]): Move => {
        return () => ({ kind: "epoch", epoch, status });
      }),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom<WantedState>(...tasks, ...tasks, { kind: "idle" }), fc.nat(2), slip)
      .map(([wanted, newer, by]): Move => (state) => {
        return {
          kind: "command",
          epoch: state.epoch + (newer === 2 ? 1 : 0),
          seq: state.seq + 1 + by,
          wanted,
        };
      }),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom("base-ready" as const, "adapter-ready" as const), slip)
      .map(([kind, by]): Move => {
        return (state) => ({ kind, serial: state.serial + by });
      }),
  },
  {
    weight: 4,
    arbitrary: slip.map((by): Move => (state) => {
      return { kind: "trained", serial: state.serial + by, finished: workOf(state.task ?? TASK) };
    }),
  },
  {
    weight: 1,
    arbitrary: slip.map((by): Move => (state) => ({
      kind: "broke",
      serial: state.serial + by,
      reason: "x",
    })),
  },
  {
    weight: 1,
    arbitrary: slip.map((by): Move => (state) => ({ kind: "overdue", serial: state.serial + by })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom("accepted" as const, "rejected" as const)
      .map((kind): Move => (state) => {
        const root = state.finished?.blob.root ?? "none";
        return kind === "accepted" ? { kind, root } : { kind, root, reason: "unreadable" };
      }),
  },
);

test("whatever happens, one work at a time goes on, only what was trained is offered, and the next command is carried out", () => {
  let numOffers = 0;
  fc.assert(
    fc.property(
      fc.array(anyMove, { maxLength: 60, size: "max" }),
      fc.constantFrom(...tasks),
      (moves, last) => {
        const agent = new Agent();
        const trained = new Set<string>();
        let busy: number | null = null;
        const feed = (input: AgentInput): void => {
          const before = agent.state;
          agent.feed(input);
          if (input.kind === "trained" && agent.state.finished === input.finished)
            trained.add(input.finished.key);
          for (const effect of agent.effects) {
            if (effect.kind === "abort") busy = null;
            if (effect.kind === "get-base") {
              assert.equal(busy, null, "work begins while other work goes on");
              busy = effect.serial;
            }
            if (effect.kind === "train") {
              assert.equal(effect.serial, busy);
              assert.notEqual(before.finished?.key, effect.key, "finished work is trained again");
            }
            if (effect.kind === "offer") {
              numOffers++;
              assert.ok(trained.has(effect.finished.key));
              assert.equal(effect.finished.key, workKey(agent.state.task as TrainTask));
            }
          }
          if (["idle", "uploading"].includes(agent.state.phase)) busy = null;
          else assert.equal(busy, agent.state.serial, "a phase of work without work");
        };
        for (const move of moves) feed(move(agent.state));
        const { epoch, seq, failure } = agent.state;
        const task = { ...last, attempt: (failure?.attempt ?? 0) + 1 };
        feed({ kind: "command", epoch, seq: seq + 1, wanted: task });
        if (agent.state.phase === "base") feed({ kind: "base-ready", serial: agent.state.serial });
        if (agent.state.phase === "adapter")
          feed({ kind: "adapter-ready", serial: agent.state.serial });
        if (agent.state.phase === "training")
          feed({ kind: "trained", serial: agent.state.serial, finished: workOf(task) });
        assert.equal(agent.kinds().at(-1), "offer");
        assert.equal(agent.state.finished?.key, workKey(task));
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(numOffers > 550, `${numOffers} offers`);
});
