-- A report that tells more of a call replaces the rows of the one before it.
-- +goose Up
grant delete on leadbus.call_turn, leadbus.call_tool, leadbus.finding to leadbus_recorder;
