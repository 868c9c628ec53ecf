-- +goose Up

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

-- The data keys under the outer key that is being replaced, until the store was opened with the new one.
alter table keys add column former blob;
