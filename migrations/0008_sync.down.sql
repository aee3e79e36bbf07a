DROP TABLE schedule;
-- Parts end at a multiple of three bytes: their base64, put together, is that of the whole.
UPDATE upload u
SET image_data = (SELECT string_agg(p.image_data, '' ORDER BY p.part)
                  FROM upload_part p
                  WHERE p.temp_filename = u.temp_filename)
WHERE u.parts > 0 AND u.sync_status <> 'completed';
ALTER TABLE upload
    DROP CONSTRAINT upload_holds_bytes,
    DROP COLUMN parts,
    DROP COLUMN claimed_by,
    DROP COLUMN claimed_until,
    DROP COLUMN attempted_at,
    ADD CONSTRAINT upload_holds_bytes CHECK (sync_status = 'completed' OR image_data IS NOT NULL);
DROP TABLE upload_part;
