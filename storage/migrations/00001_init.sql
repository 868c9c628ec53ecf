-- +goose Up

-- One row: whose file this is and how far it has come. Every commit updates it where incarnation is the writer's own.
create table meta (
  id          integer primary key check (id = 1),
  incarnation blob    not null, -- random, new at each start
  machine     blob    not null, -- hash of the machine's id
  epoch       integer not null, -- raised by each adoption
  commits     integer not null, -- one more with each commit: tells whether a commit of unknown outcome stands
  seq         integer not null, -- newest event
  flushed     integer not null  -- the rows hold every event up to this one
) strict;

create table keys (
  id      integer primary key check (id = 1),
  wrapped blob not null, -- the data keys under the outer key
  former  blob           -- the same under the one that is being replaced, until the store was opened with the new one
) strict;

-- One row per commit: the audit chain, and the ledger of used steps.
create table journal (
  first_seq integer primary key,
  count     integer not null,
  at        integer not null, -- Unix microseconds of the commit
  cores     blob    not null,
  personal  blob    not null, -- sealed; empty when erased or when nobody was named
  link      blob    not null  -- HMAC over the link before and this row
) strict;

-- What an account or a token is lies in slabs of 64 records, packed; see slabrow.go. The tables account and token hold what
-- listings search, so they change by acts alone.
create table account_slab (
  number  integer primary key,
  seq     integer not null, -- newest event that the records hold
  records blob    not null,
  batch   integer           -- import that made it; seen by nobody until that is live
) strict;
create table account_state (
  number  integer primary key,
  seq     integer not null,
  records blob    not null -- guards: what logins own
) strict;
create table token_slab (
  number  integer primary key,
  seq     integer not null,
  records blob    not null,
  batch   integer
) strict;
create table token_state (
  number  integer primary key,
  seq     integer not null,
  records blob    not null -- last steps and drift: what logins own
) strict;
create index account_slab_batch on account_slab (batch) where batch is not null;
create index token_slab_batch on token_slab (batch) where batch is not null;

create table account (
  id        integer primary key,
  directory text    not null,
  external  text    not null,
  name      text    not null,
  batch     integer
) strict;
create unique index account_user on account (directory, external);
create index account_name on account (name collate nocase);

create table token (
  id            integer primary key,
  serial        text    not null,
  credential_id text    not null,
  name          text    not null,
  form          integer not null,
  mode          integer not null,
  state         integer not null,
  expiry        integer not null,
  fingerprint   blob    not null,
  batch         integer
) strict;
-- 4 is destroyed: its serial and seed may come again.
create unique index token_serial on token (serial) where serial <> '' and state <> 4;
create unique index token_fingerprint on token (fingerprint) where state <> 4;
create index token_credential on token (credential_id) where credential_id <> '';

-- Imports. Rows of a batch that is not live yet are seen by nobody.
create table batch (
  id   integer primary key,
  live integer not null,
  seq  integer not null -- event that made it live
) strict;

-- What a batch gives to accounts that were there before it: applied when the batch is live, then part of the account's
-- row, which holds it once its applied_seq has reached the batch's seq.
create table batch_grant (
  batch   integer not null,
  account integer not null,
  holds   blob    not null,
  primary key (batch, account)
) strict, without rowid;

create table tombstone (
  fingerprint blob primary key,
  last        integer not null
) strict, without rowid;

create table session (
  nas        blob    not null,
  session    blob    not null,
  status     integer not null,
  at         integer not null, -- Unix microseconds
  client     text    not null,
  received   integer not null,
  seconds    integer not null,
  octets_in  integer not null,
  octets_out integer not null,
  cause      integer not null,
  personal   blob    not null, -- sealed: name, station, address, attributes
  primary key (nas, session, status, at)
) strict, without rowid;

create table ratchet (
  client  text    not null,
  address text    not null,
  since   integer not null, -- Unix seconds
  primary key (client, address)
) strict, without rowid;

-- What the life cycle keeps beside accounts and tokens. Data is sealed and bound to all other columns; memory finds
-- records by them, so nothing here is searched.
create table record (
  kind    integer not null,
  id      integer not null,
  version integer not null,
  account integer not null, -- 0: nobody
  state   integer not null,
  due     integer not null, -- Unix seconds; 0: never
  lookup  blob    not null, -- keyed hash of the secret that finds it; all zero: none
  data    blob    not null,
  primary key (kind, id)
) strict, without rowid;

-- How long things are kept, and how far that was carried out. One row, made by the first pass.
create table keeping (
  id       integer primary key check (id = 1),
  cut      integer not null, -- newest event that was removed; the journal begins behind it
  cut_link blob    not null, -- link of the chain there; empty: nothing was removed
  cut_at   integer not null, -- Unix microseconds of the commit of the last row that was removed
  cut_mac  blob    not null, -- HMAC over the three
  names    integer not null, -- names of nobody are hashes up to this event
  origins  integer not null, -- addresses and stations are gone up to this event
  sessions integer not null  -- accounting records received up to here (Unix microseconds) name nobody any more
) strict;

create index session_received on session (received);
