-- Makes the counters right: in how many groups (a day of a collection) they were wrong; null: another session is at it.
-- Returns one row: bigint?
SELECT image_count_recount()
