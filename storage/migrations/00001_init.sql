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
  wrapped blob not null -- the data keys under the outer key
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

create table account (
  id          integer primary key,
  directory   text    not null,
  external    text    not null,
  name        text    not null,
  generation  integer not null,
  assignments blob    not null,
  pin_salt    blob    not null,
  pin_sum     blob    not null,
  guard       blob    not null,
  batch       integer,
  applied_seq integer not null
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
  hash          integer not null,
  digits        integer not null,
  period        integer not null,
  state         integer not null,
  start         integer not null,
  expiry        integer not null,
  fingerprint   blob    not null,
  seed_version  integer not null,
  seed          blob    not null, -- sealed
  last          integer not null,
  drift         integer not null,
  drift_day     integer not null,
  batch         integer,
  applied_seq   integer not null
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
