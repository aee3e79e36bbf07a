-- The bucket holds this upload, as it is: its bytes go. $1 id.
-- Returns one row: bigint
WITH done AS (
    UPDATE upload
    SET sync_status = 'completed', completed_at = now(), updated_at = now(), image_data = NULL, last_error = NULL,
        claimed_by = NULL, claimed_until = NULL
    WHERE id = $1::bigint AND sync_status <> 'completed'
    RETURNING temp_filename
), gone AS (
    DELETE FROM upload_part
    WHERE temp_filename = (SELECT temp_filename FROM done)
)
SELECT count(*)
FROM done
