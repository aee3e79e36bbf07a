-- What goes with the table upload.
-- Returns one row: bigint
SELECT count(*)
FROM upload
