-- Whether the asking instance is the one that does what is due once a day. $1 what, $2 the day ("2026-11-21") whose hour
-- has come last by the instance's clock, $3 host, $4 above 0: it came just now. The first time that anybody asks, what
-- was due long ago is taken for done. A day that lies ahead stands for a clock that was wrong; it holds for a day.
-- Returns at most one row: int
INSERT INTO schedule AS s (kind, day, host)
VALUES ($1::text, $2::text::date, $3::text)
ON CONFLICT (kind) DO UPDATE SET day = EXCLUDED.day, host = EXCLUDED.host, taken_at = now()
WHERE s.day < EXCLUDED.day OR (s.day > EXCLUDED.day AND s.taken_at < now() - interval '25 hours')
RETURNING (xmax <> 0 OR $4::bigint > 0)::int
