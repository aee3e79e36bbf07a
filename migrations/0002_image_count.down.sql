DROP TRIGGER image_count_truncate ON image_cache;
DROP TRIGGER image_count_insert ON image_cache;
DROP TRIGGER image_count_update ON image_cache;
DROP TRIGGER image_count_delete ON image_cache;
DROP FUNCTION image_count_truncate();
DROP FUNCTION image_count_insert();
DROP FUNCTION image_count_update();
DROP FUNCTION image_count_delete();
DROP TABLE image_count;
