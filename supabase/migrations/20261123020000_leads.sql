-- Leads, offers, messages and the events they are folded from.
-- Written for Postgres 15 and later. Every key begins with the market, and row
-- security keeps markets apart: without leadbus.market set there is no row. The
-- lead comes next, so that one index serves both the row and all of a lead's.

-- +goose Up
create schema if not exists leadbus;

comment on schema leadbus is
  'System of record of leadbus. Not for the Data API: keep it out of the exposed schemas.';

-- What the recorder becomes for each batch. It cannot log in, and row security
-- holds for it whoever logged in.
-- +goose StatementBegin
do $$
begin
  if not exists (select from pg_roles where rolname = 'leadbus_recorder') then
    create role leadbus_recorder nologin noinherit nobypassrls;
  end if;
exception when duplicate_object or unique_violation then
  null; -- roles belong to the cluster: another database made it just now
end $$;
-- +goose StatementEnd

grant leadbus_recorder to current_user;

-- Derived tables: rebuilt from the events, so an edit lasts until the lead's
-- next event. They have one writer, which writes a lead's rows in one
-- transaction; foreign keys would only repeat, row by row, what that ensures.

create table leadbus.lead (
  market           text        not null,
  id               text        not null,
  ref              text        not null default '',
  site             text        not null,
  source_url       text        not null default '',
  status           text        not null default 'pending',
  reason           text        not null default '',
  received_at      timestamptz not null default now(),
  called_at        timestamptz,
  tracker          text        not null default '',
  clicks           jsonb       not null default '{}',
  language         text        not null default '',
  service_id       text        not null default '',
  service_raw      text        not null default '',
  service_method   text        not null default '',
  place_id         text        not null default '',
  place_name       text        not null default '',
  place_raw        text        not null default '',
  place_method     text        not null default '',
  place_score      float8      not null default 0,
  phone_source     text        not null default '',
  phone_confidence text        not null default '',
  phone_type       text        not null default '',
  phone_check      boolean     not null default false,
  conversation_id  text        not null default '',
  call_sid         text        not null default '',
  agent_id         text        not null default '',
  called_number    text        not null default '',
  flags            text[]      not null default '{}',
  offer_id         text        not null default '',
  provider_id      text        not null default '',
  refused          text[]      not null default '{}',
  last_seq         bigint      not null default 0,
  updated_at       timestamptz not null default now(),
  primary key (market, id)
) with (fillfactor = 70);

create index lead_newest on leadbus.lead (market, received_at);
create index lead_ref on leadbus.lead (market, ref);

comment on table leadbus.lead is 'A customer''s demand as understood so far, and where it stands. Holds nothing that names the customer.';
comment on column leadbus.lead.id is 'Derived from site and conversation.';
comment on column leadbus.lead.ref is 'Six digits that people say to each other; not unique.';
comment on column leadbus.lead.reason is 'Why a lead waits for review or is unserved.';
comment on column leadbus.lead.refused is 'Moves that events asked for and the table of states does not allow.';
comment on column leadbus.lead.last_seq is 'Stream sequence of the newest event folded in; 0 while there is none.';

-- Everything that names or reaches the customer. Erasing a person is deleting
-- here, in message_content and in event_body.
create table leadbus.lead_person (
  market           text    not null,
  lead             text    not null,
  name             text    not null default '',
  phone_e164       text    not null default '',
  phone_raw        text    not null default '',
  phone_second     text    not null default '',
  caller_id        text    not null default '',
  address          text    not null default '',
  postal_code      text    not null default '',
  summary          text    not null default '',
  urgency          text    not null default '',
  preferred_window text    not null default '',
  consent          boolean,
  primary key (market, lead)
);

create table leadbus.offer (
  market      text        not null,
  lead        text        not null,
  id          text        not null,
  provider_id text        not null,
  state       text        not null,
  offered_at  timestamptz not null,
  primary key (market, lead, id)
) with (fillfactor = 70);

comment on table leadbus.offer is 'A lead offered to a provider.';

create table leadbus.message (
  market          text        not null,
  lead            text        not null,
  id              text        not null,
  offer           text        not null default '',
  provider_id     text        not null default '',
  purpose         text        not null default '',
  recipient       text        not null default '',
  channel         text        not null default '',
  language        text        not null default '',
  state           text        not null,
  vendor          text        not null default '',
  vendor_id       text        not null default '',
  error_code      text        not null default '',
  error_class     text        not null default '',
  error_reason    text        not null default '',
  possible_double boolean     not null default false,
  queued_at       timestamptz not null,
  sent_at         timestamptz,
  delivered_at    timestamptz,
  failed_at       timestamptz,
  primary key (market, lead, id)
) with (fillfactor = 70);

comment on table leadbus.message is 'One text or mail to one recipient on one channel. Sent is the vendor''s acceptance, never delivery.';
comment on column leadbus.message.possible_double is 'It was sent again after an outcome that stayed unknown.';

create table leadbus.message_content (
  market      text  not null,
  lead        text  not null,
  message     text  not null,
  sender      text  not null default '',
  recipient   text  not null default '',
  subject     text  not null default '',
  body        text  not null default '',
  html        text  not null default '',
  content_sid text  not null default '',
  variables   jsonb not null default '{}',
  primary key (market, lead, message)
);

-- Append-only: what happened, in the order of the market's stream.

create table leadbus.event (
  market text        not null,
  lead   text        not null,
  id     text        not null,
  seq    bigint      not null,
  kind   text        not null,
  at     timestamptz not null,
  primary key (market, lead, id)
);

comment on column leadbus.event.id is 'The message id on the stream: the same fact always has the same.';

-- The body is json and not jsonb: it is kept as it came, and what a caller's
-- words make of it (a NUL, half a surrogate, a huge number) must not refuse it.
create table leadbus.event_body (
  market text   not null,
  lead   text   not null,
  id     text   not null,
  seq    bigint not null,
  body   json   not null,
  primary key (market, lead, id)
);

comment on table leadbus.event_body is 'Each event as it stood on the stream; holds personal data.';

-- Row security, rights.

-- +goose StatementBegin
do $$
declare
  t text;
begin
  foreach t in array array['lead', 'lead_person', 'offer', 'message', 'message_content', 'event', 'event_body'] loop
    execute format('alter table leadbus.%I enable row level security', t);
    execute format('alter table leadbus.%I force row level security', t);
    execute format(
      'create policy market on leadbus.%I
         using (market = (select current_setting(''leadbus.market'', true)))
         with check (market = (select current_setting(''leadbus.market'', true)))', t);
    execute format('grant select, insert, update on leadbus.%I to leadbus_recorder', t);
  end loop;
end $$;
-- +goose StatementEnd

grant usage on schema leadbus to leadbus_recorder;

revoke all on schema leadbus from public;
revoke all on all tables in schema leadbus from public;

-- +goose StatementBegin
do $$
declare
  r name;
begin
  for r in select rolname from pg_roles where rolname in ('anon', 'authenticated') loop
    execute format('revoke all on schema leadbus from %I', r);
    execute format('revoke all on all tables in schema leadbus from %I', r);
  end loop;
end $$;
-- +goose StatementEnd
