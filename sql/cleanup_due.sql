-- What a daily cleaning may trash: images last used before the first column and unchanged since the second. $1 the time
-- of the cleaning. No row: nothing. These images must have been announced for a week without a gap: in each cleaning of
-- that week, and with no more than three days from one to the next.
-- Returns at most one row: timestamptz timestamptz
WITH day AS (
    SELECT at, announced, use_since, days, at - lag(at) OVER (ORDER BY at) > interval '3 days' AS is_late
    FROM cleanup_day
    WHERE checked_at IS NOT NULL AND at <= $1::timestamptz
), chain AS (
    SELECT *
    FROM day
    WHERE at > coalesce((SELECT max(at) FROM day WHERE announced IS NULL), '-infinity')
          AND at >= coalesce((SELECT max(at) FROM day WHERE is_late), '-infinity')
), week AS (
    SELECT max(at) AS since FROM chain WHERE at <= $1::timestamptz - interval '7 days'
), unused AS (
    SELECT at - make_interval(days => days) AS since FROM chain WHERE at = $1::timestamptz AND use_since <= at - make_interval(days => days)
)
SELECT least(unused.since, (SELECT min(announced) FROM chain WHERE at >= week.since)), week.since
FROM week, unused
WHERE week.since IS NOT NULL
