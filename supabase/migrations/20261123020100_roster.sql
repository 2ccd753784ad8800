-- The roster: who does the work. The owner edits these rows; the recorder
-- copies every change to the market's bus within seconds. What would make a
-- provider unusable is refused here, at the edit.

-- +goose Up

-- hours: {"mon": ["08:00-12:00", "13:30-18:00"], "fri": ["20:00-02:00"]}; what
-- ends before it begins ends on the next day.
-- +goose StatementBegin
create function leadbus.valid_hours(hours jsonb) returns boolean
language sql immutable set search_path = pg_catalog
as $$
  select jsonb_typeof(hours) = 'object' and not exists (
    select from jsonb_each(case jsonb_typeof(hours) when 'object' then hours else '{}' end) as d (day, spans)
    where d.day not in ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
       or jsonb_typeof(d.spans) <> 'array'
       or exists (
         select from jsonb_array_elements_text(case jsonb_typeof(d.spans) when 'array' then d.spans else '[]' end) as s (span)
         where s.span is null
            or s.span !~ '^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$'
            or split_part(s.span, '-', 1) = split_part(s.span, '-', 2)
       )
  )
$$;
-- +goose StatementEnd

-- leave: [{"from": "2026-12-24", "until": "2027-01-02"}], both days included.
-- A day that does not exist is an error.
-- +goose StatementBegin
create function leadbus.valid_leave(leave jsonb) returns boolean
language sql immutable set search_path = pg_catalog
as $$
  select jsonb_typeof(leave) = 'array' and not exists (
    select from jsonb_array_elements(case jsonb_typeof(leave) when 'array' then leave else '[]' end) as l (days)
    where coalesce(l.days ->> 'from', '') !~ '^\d{4}-\d\d-\d\d$'
       or coalesce(l.days ->> 'until', '') !~ '^\d{4}-\d\d-\d\d$'
       or (l.days ->> 'from')::date > (l.days ->> 'until')::date
  )
$$;
-- +goose StatementEnd

create table leadbus.provider (
  market      text    not null check (market ~ '^[a-z0-9-]+$'),
  id          text    not null check (id ~ '^[a-z0-9-]{1,253}$'),
  name        text    not null check (name <> ''),
  active      boolean not null default true,
  priority    integer not null default 1 check (priority between 1 and 1000),
  services    text[]  not null default '{}',
  places      text[]  not null default '{}',
  languages   text[]  not null default '{}',
  hours       jsonb   not null default '{}' check (leadbus.valid_hours(hours)),
  after_hours boolean not null default false,
  leave       jsonb   not null default '[]' check (leadbus.valid_leave(leave)),
  cap_day     integer not null default 0 check (cap_day >= 0),
  cap_week    integer not null default 0 check (cap_week >= 0),
  whatsapp    text    not null default '' check (whatsapp ~ '^(\+[1-9]\d{6,14})?$'),
  sms         text    not null default '' check (sms ~ '^(\+[1-9]\d{6,14})?$'),
  email       text    not null default '' check (email ~ '^([^@\s]+@[^@\s]+)?$'),
  primary key (market, id),
  check (array_position(services || places || languages, null) is null)
);

comment on table leadbus.provider is 'Who does the work. Edit freely: matchers follow within seconds.';
comment on column leadbus.provider.priority is '1 is asked first.';
comment on column leadbus.provider.services is 'Service ids of the configuration.';
comment on column leadbus.provider.places is 'Place ids of the configuration; a place covers its parts.';
comment on column leadbus.provider.languages is 'The first one is written to.';
comment on column leadbus.provider.hours is 'Opening hours in the market''s zone: {"mon": ["08:00-12:00", "13:30-18:00"]}; {"fri": ["20:00-02:00"]} ends on Saturday.';
comment on column leadbus.provider.leave is 'Absences in whole days: [{"from": "2026-12-24", "until": "2027-01-02"}].';
comment on column leadbus.provider.cap_day is 'Most offers in a day; 0 is no limit.';
comment on column leadbus.provider.cap_week is 'Most offers in a week from Monday; 0 is no limit.';

-- Moves at every change, so that a copy knows cheaply when to look.
create table leadbus.roster_version (
  market  text   not null primary key,
  version bigint not null
);

-- +goose StatementBegin
create function leadbus.roster_changed() returns trigger
language plpgsql set search_path = pg_catalog
as $$
begin
  insert into leadbus.roster_version as v (market, version)
  select distinct c.market, 1
  from (select old.market where tg_op <> 'INSERT' union select new.market where tg_op <> 'DELETE') as c
  on conflict (market) do update set version = v.version + 1;
  return null;
end $$;
-- +goose StatementEnd

create trigger roster_changed after insert or update or delete on leadbus.provider
  for each row execute function leadbus.roster_changed();

-- +goose StatementBegin
create function leadbus.roster_emptied() returns trigger
language plpgsql set search_path = pg_catalog
as $$
begin
  update leadbus.roster_version set version = version + 1;
  return null;
end $$;
-- +goose StatementEnd

create trigger roster_emptied after truncate on leadbus.provider
  for each statement execute function leadbus.roster_emptied();

-- +goose StatementBegin
do $$
declare
  t text;
begin
  foreach t in array array['provider', 'roster_version'] loop
    execute format('alter table leadbus.%I enable row level security', t);
    execute format('alter table leadbus.%I force row level security', t);
    execute format(
      'create policy market on leadbus.%I
         using (market = (select current_setting(''leadbus.market'', true)))
         with check (market = (select current_setting(''leadbus.market'', true)))', t);
    execute format('grant select on leadbus.%I to leadbus_recorder', t);
    execute format('revoke all on leadbus.%I from public', t);
  end loop;
end $$;
-- +goose StatementEnd
