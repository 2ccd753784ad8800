-- What became of an offer, and of the job.
-- +goose Up
alter table leadbus.offer
  add column reason   text not null default '',
  add column outcome  text not null default '',
  add column until    timestamptz,
  add column ended_at timestamptz;

comment on column leadbus.offer.state is 'queued, sent, delivered or undeliverable while it is open; then accepted, declined, expired, withdrawn or undeliverable.';
comment on column leadbus.offer.reason is 'Why the provider declined.';
comment on column leadbus.offer.outcome is 'What the provider reported last: reached, not_reached, done, not_done.';

alter table leadbus.lead
  add column duplicate_of text not null default '',
  add column value        text not null default '';

comment on column leadbus.lead.duplicate_of is 'The lead that this one repeats.';
comment on column leadbus.lead.value is 'What the job brought, as entered.';
