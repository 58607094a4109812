-- The stored layout, version 1 (contract.LAYOUT). Public: `inbox`, which foreign producers insert into.
-- Small columns stand first, so that reading them never walks the pages of a large body.

CREATE TABLE layout (version INTEGER NOT NULL);

CREATE TABLE queues (
  queue TEXT PRIMARY KEY,
  place INTEGER NOT NULL DEFAULT 0,   -- the last place given in this queue
  ticket INTEGER NOT NULL DEFAULT 0,  -- the last ticket
  expired INTEGER NOT NULL DEFAULT 0  -- how many messages were dropped because they had not begun in time
) WITHOUT ROWID;

-- A row is a message, or a notice (state 'notice', whose id begins with "!"; owned or not).
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of pushes; never reused
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL,
  place INTEGER NOT NULL,    -- the order within a state; kept while reserved, so that a return finds its place
  due_ms INTEGER,            -- while delayed
  owner TEXT,                -- while owned, with its ticket
  ticket INTEGER,
  counters TEXT,             -- Counters.pack; NULL: all zero
  pushed_ms INTEGER NOT NULL,
  ended_ms INTEGER,          -- while failed or parked: since when
  rank INTEGER NOT NULL DEFAULT 0,    -- minus its priority: what has a lower one goes first
  expires_ms INTEGER,        -- until when it has to be begun; NULL: it waits for ever
  unique_key TEXT,           -- the key that it has while `locked`; NULL: none, or one in `locks`
  until_begun INTEGER,       -- 1: it has it until it is handed out, else until it is done
  locked INTEGER NOT NULL DEFAULT 0,
  remember_ms INTEGER,       -- for how long its id stays taken when it is gone; NULL: not at all
  body BLOB NOT NULL,
  history BLOB,              -- one record per line
  UNIQUE (queue, id)
);
CREATE INDEX waiting ON messages (queue, rank, place) WHERE state = 'waiting';
CREATE INDEX delayed ON messages (queue, due_ms, seq) WHERE state = 'delayed';
CREATE INDEX failed ON messages (queue, place) WHERE state = 'failed';
CREATE INDEX parked ON messages (queue, place) WHERE state = 'timeout';
CREATE INDEX notices ON messages (queue, place) WHERE state = 'notice' AND owner IS NULL;
CREATE INDEX owned ON messages (queue, owner, ticket, state) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX locked ON messages (queue, unique_key) WHERE locked = 1;

-- Whatever is not waiting, delayed or reserved has no key.
CREATE TRIGGER unlock AFTER UPDATE OF state ON messages
WHEN new.locked = 1 AND (new.state IN ('failed', 'timeout') OR (new.state = 'reserved' AND new.until_begun))
BEGIN
  UPDATE messages SET locked = 0 WHERE seq = new.seq;
END;

-- Keys that stay taken for a time, whatever becomes of the message.
CREATE TABLE locks (
  queue TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX lock_over ON locks (queue, until_ms);

-- How far each session of a producer has come (law D10): "doubles" are the places of the entries of its last
-- chunk that were duplicates.
CREATE TABLE sessions (
  queue TEXT NOT NULL,
  session TEXT NOT NULL,
  number INTEGER NOT NULL,
  doubles TEXT NOT NULL,
  used_ms INTEGER NOT NULL,           -- up to SESSION_NOTED_MS ago
  PRIMARY KEY (queue, session)
) WITHOUT ROWID;
CREATE INDEX idle ON sessions (queue, used_ms);

-- Ids that stay taken although their messages are gone, however they went.
CREATE TABLE remembered (
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE INDEX over ON remembered (queue, until_ms);
CREATE TRIGGER remember AFTER DELETE ON messages WHEN old.remember_ms IS NOT NULL BEGIN
  INSERT OR REPLACE INTO remembered (queue, id, until_ms) VALUES (
    old.queue, old.id, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + old.remember_ms
  );
END;

CREATE TABLE consumers (
  queue TEXT NOT NULL,
  consumer TEXT NOT NULL,
  host TEXT NOT NULL,
  PRIMARY KEY (queue, consumer)
) WITHOUT ROWID;

CREATE TABLE hosts (
  queue TEXT NOT NULL,
  host TEXT NOT NULL,
  name TEXT NOT NULL,
  beat INTEGER NOT NULL,     -- moves as long as the host lives
  PRIMARY KEY (queue, host)
) WITHOUT ROWID;

-- Queues of which no message is handed out.
CREATE TABLE pauses (
  queue TEXT PRIMARY KEY,
  since_ms INTEGER NOT NULL,
  until_ms INTEGER           -- NULL: until somebody resumes it
) WITHOUT ROWID;

-- Queues whose gate was closed once. Missing: it is open.
CREATE TABLE gates (
  queue TEXT PRIMARY KEY,
  state TEXT NOT NULL,       -- open, closed, draining
  since_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- When all hosts were asked to restart a queue, the last time.
CREATE TABLE restarts (
  queue TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Queues of which only so many messages may be reserved at once.
CREATE TABLE limits (
  queue TEXT PRIMARY KEY,
  max_running INTEGER NOT NULL
) WITHOUT ROWID;

-- Reserved messages that go when they are settled, whatever the verdict, with the header of the notice they leave.
CREATE TABLE cancelled (
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  header BLOB NOT NULL,
  PRIMARY KEY (queue, id)
) WITHOUT ROWID;

-- How far each cron has come: its last tick, by which schedule, and the id of what it pushed last ("": nothing).
CREATE TABLE crons (
  queue TEXT NOT NULL,
  cron TEXT NOT NULL,
  tick_ms INTEGER NOT NULL,
  schedule TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (queue, cron)
) WITHOUT ROWID;

-- The ids of dead consumers, and of dead hosts as "host ID".
CREATE TABLE gone (
  queue TEXT NOT NULL,
  consumer TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (queue, consumer)
) WITHOUT ROWID;

CREATE TABLE inbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX inbox_of ON inbox (queue, seq);
