DROP TRIGGER image_tombstone_bury_key ON image_cache;
DROP TRIGGER image_tombstone_bury ON image_cache;
DROP FUNCTION image_tombstone_bury_key();
DROP FUNCTION image_tombstone_bury();
DROP TABLE image_tombstone;
