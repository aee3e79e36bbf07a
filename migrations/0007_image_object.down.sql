DROP INDEX image_cache_linked;
DROP TABLE image_object;
