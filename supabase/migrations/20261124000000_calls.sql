-- Calls as the voice vendor reported them, and what the scanner found in them.
-- A call's key is the lead that it is, or would have been, about.
--
-- +goose Up

create table leadbus.call (
  market          text        not null,
  lead            text        not null,
  conversation_id text        not null,
  site            text        not null,
  agent_id        text        not null default '',
  version         text        not null default '',
  started_at      timestamptz,
  seconds         bigint      not null default 0,
  direction       text        not null default '',
  call_sid        text        not null default '',
  source          text        not null default '',
  status          text        not null default '',
  ended           text        not null default '',
  error           text        not null default '',
  language        text        not null default '',
  cost            float8      not null default 0,
  successful      text        not null default '',
  primary key (market, lead)
);

create index call_newest on leadbus.call (market, started_at);

comment on table leadbus.call is 'A finished call, without what names the caller.';
comment on column leadbus.call.cost is 'US dollars.';
comment on column leadbus.call.version is 'Of the agent, so that quality can be charged to it.';

-- What was said and gathered: personal, and with a retention of its own.
create table leadbus.call_person (
  market    text  not null,
  lead      text  not null,
  caller_id text  not null default '',
  called    text  not null default '',
  summary   text  not null default '',
  criteria  jsonb not null default '{}',
  collected jsonb not null default '{}',
  primary key (market, lead)
);

create table leadbus.call_turn (
  market      text    not null,
  lead        text    not null,
  n           bigint  not null,
  who         text    not null,
  second      bigint  not null,
  text        text    not null,
  interrupted boolean not null default false,
  primary key (market, lead, n)
);

create table leadbus.call_tool (
  market     text    not null,
  lead       text    not null,
  n          bigint  not null,
  name       text    not null,
  request_id text    not null default '',
  second     bigint  not null,
  ran        boolean not null,
  answered   boolean not null,
  failed     boolean not null,
  error_type text    not null default '',
  latency    float8  not null default 0,
  params     text    not null default '',
  result     text    not null default '',
  primary key (market, lead, n)
);

create table leadbus.call_scan (
  market     text        not null,
  lead       text        not null,
  site       text        not null,
  eligible   boolean     not null,
  why        text        not null default '',
  dispatched boolean     not null,
  recovered  boolean     not null,
  scanned_at timestamptz not null,
  primary key (market, lead)
);

create table leadbus.finding (
  market   text   not null,
  lead     text   not null,
  n        bigint not null,
  detector text   not null,
  severity text   not null,
  sentence text   not null default '',
  second   bigint not null,
  detail   text   not null default '',
  primary key (market, lead, n)
);

create index finding_detector on leadbus.finding (market, detector);

comment on table leadbus.finding is 'What is wrong with a call, with the sentence and the second it is about.';

-- +goose StatementBegin
do $$
declare
  t text;
begin
  foreach t in array array['call', 'call_person', 'call_turn', 'call_tool', 'call_scan', 'finding'] loop
    execute format('alter table leadbus.%I enable row level security', t);
    execute format('alter table leadbus.%I force row level security', t);
    execute format(
      'create policy market on leadbus.%I
         using (market = (select current_setting(''leadbus.market'', true)))
         with check (market = (select current_setting(''leadbus.market'', true)))', t);
    execute format('grant select, insert, update on leadbus.%I to leadbus_recorder', t);
    execute format('revoke all on leadbus.%I from public', t);
  end loop;
end $$;
-- +goose StatementEnd

-- +goose StatementBegin
do $$
declare
  r name;
begin
  for r in select rolname from pg_roles where rolname in ('anon', 'authenticated') loop
    execute format('revoke all on all tables in schema leadbus from %I', r);
  end loop;
end $$;
-- +goose StatementEnd
