-- An object that was taken by object_remove is gone. $1 its URL.
DELETE FROM image_object WHERE url = $1::text AND removing_at IS NOT NULL
