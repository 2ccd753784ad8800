// Package migrations holds the database's forward-only changes: plain SQL,
// named as the Supabase CLI expects, so that either the CLI or the program
// itself may apply them. The annotations are comments to anything but goose.
//
// A file that was released is never edited; what it made is changed by a new
// file that the previous release can live with.
package migrations

import "embed"

// Files are the SQL files.
//
//go:embed *.sql
var Files embed.FS
