BEGIN TRANSACTION;
CREATE TABLE `audit_entries` (`id` integer PRIMARY KEY AUTOINCREMENT,`time` datetime NOT NULL,`actor` varchar(255) NOT NULL,`actor_id` varchar(255) NOT NULL,`via` varchar(255) NOT NULL,`action` varchar(255) NOT NULL,`target_kind` varchar(255) NOT NULL,`target_id` varchar(255) NOT NULL,`target_name` varchar(255) NOT NULL,`detail` varchar(255) NOT NULL,`address` varchar(255) NOT NULL,`status` integer NOT NULL,`code` varchar(255) NOT NULL);
INSERT INTO "audit_entries" VALUES(1,'2026-11-30 18:41:46.572271+00:00','root','','command','image add','images','micro','micro','','',0,'');
INSERT INTO "audit_entries" VALUES(2,'2026-11-30 18:41:48.619703+00:00','root','','command','user init','users','admin','admin','','',0,'');
INSERT INTO "audit_entries" VALUES(3,'2026-11-30 18:41:49.746956+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(4,'2026-11-30 18:41:49.770583+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','session','create-token','tokens','01a22dc3-64b6-7a25-8f16-49b12e209190','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(5,'2026-11-30 18:41:50.351504+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','ann','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(6,'2026-11-30 18:41:50.730095+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','eve','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(7,'2026-11-30 18:41:50.973285+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','bob','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(8,'2026-11-30 18:41:51.110649+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','cat','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(9,'2026-11-30 18:41:51.254759+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','tess','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(10,'2026-11-30 18:41:51.390987+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','gone','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(11,'2026-11-30 18:41:51.534087+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-user','users','fresh','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(12,'2026-11-30 18:41:51.691048+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(13,'2026-11-30 18:41:51.69869+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','session','create-token','tokens','01a22dc3-6c50-77ff-89a8-43153f3494c4','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(14,'2026-11-30 18:41:51.848236+00:00','eve','01a22dc3-6887-76c2-b2f9-a0e00275273f','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(15,'2026-11-30 18:41:51.854145+00:00','eve','01a22dc3-6887-76c2-b2f9-a0e00275273f','session','create-token','tokens','01a22dc3-6ced-7737-b857-046edfd4924b','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(16,'2026-11-30 18:41:52.029198+00:00','bob','01a22dc3-6979-7d4f-a683-fe7ce2bb1657','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(17,'2026-11-30 18:41:52.053798+00:00','bob','01a22dc3-6979-7d4f-a683-fe7ce2bb1657','session','create-token','tokens','01a22dc3-6db5-756a-ba70-6e1e936db8a7','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(18,'2026-11-30 18:41:52.654519+00:00','cat','01a22dc3-6a05-7c14-a82f-734f55112487','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(19,'2026-11-30 18:41:52.660668+00:00','cat','01a22dc3-6a05-7c14-a82f-734f55112487','session','create-token','tokens','01a22dc3-7014-7036-946f-0fc48b249708','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(20,'2026-11-30 18:41:53.17302+00:00','gone','01a22dc3-6b1b-770b-b66e-6bfb8ba7f325','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(21,'2026-11-30 18:41:53.192364+00:00','gone','01a22dc3-6b1b-770b-b66e-6bfb8ba7f325','session','create-token','tokens','01a22dc3-7225-7cc1-aead-6976281c368b','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(22,'2026-11-30 18:41:53.954657+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(23,'2026-11-30 18:41:54.066896+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','session','create-token','tokens','01a22dc3-7534-7a91-b55e-431728e9b463','of the upgrade','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(24,'2026-11-30 18:41:54.101665+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','change-me','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(25,'2026-11-30 18:41:54.584216+00:00','tess','01a22dc3-6a94-7a34-bab1-64fc9c09d673','password','sign-in','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(26,'2026-11-30 18:41:54.699302+00:00','tess','01a22dc3-6a94-7a34-bab1-64fc9c09d673','session','begin-second-factor','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(27,'2026-11-30 18:41:54.703106+00:00','tess','01a22dc3-6a94-7a34-bab1-64fc9c09d673','session','confirm-second-factor','auth','','','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(28,'2026-11-30 18:41:54.713081+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','create-group','groups','class','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(29,'2026-11-30 18:41:54.717021+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','add-group-member','groups','class','','user=cat','127.0.0.1',204,'');
INSERT INTO "audit_entries" VALUES(30,'2026-11-30 18:41:54.985224+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','upload-image','images','mine_1796064114841.qcow2','mine','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(31,'2026-11-30 18:41:55.070048+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','create-node','nodes','a21280c7-80ba-4968-88ad-915f8da936c3','sbt-upgrade-web','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(32,'2026-11-30 18:41:55.265159+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','create-node','nodes','ea193794-aac8-41ad-8e53-f4708e4c70f3','sbt-upgrade-plain','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(33,'2026-11-30 18:41:55.407007+00:00','eve','01a22dc3-6887-76c2-b2f9-a0e00275273f','token','create-node','nodes','95f177c7-b87c-400a-8fdb-949b5fe92339','sbt-upgrade-evil','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(34,'2026-11-30 18:41:55.481701+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','make-image-of-node','nodes','a21280c7-80ba-4968-88ad-915f8da936c3','sbt-upgrade-web','','127.0.0.1',202,'');
INSERT INTO "audit_entries" VALUES(35,'2026-11-30 18:41:56.044629+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','create-network','networks','','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(36,'2026-11-30 18:41:56.348464+00:00','gone','01a22dc3-6b1b-770b-b66e-6bfb8ba7f325','token','create-network','networks','','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(37,'2026-11-30 18:41:56.43878+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','create-lab','labs','5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(38,'2026-11-30 18:41:56.578258+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','add-lab-node','labs','5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','node=ea193794-aac8-41ad-8e53-f4708e4c70f3','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(39,'2026-11-30 18:41:57.09418+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','add-lab-network','labs','5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(40,'2026-11-30 18:41:57.108092+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','add-lab-link','labs','5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','','127.0.0.1',200,'');
INSERT INTO "audit_entries" VALUES(41,'2026-11-30 18:41:57.134625+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','share-node-with-user','nodes','a21280c7-80ba-4968-88ad-915f8da936c3','sbt-upgrade-web','name=bob','127.0.0.1',204,'');
INSERT INTO "audit_entries" VALUES(42,'2026-11-30 18:41:57.170112+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','share-image-with-group','images','mine_1796064114841.qcow2','mine','name=class','127.0.0.1',204,'');
INSERT INTO "audit_entries" VALUES(43,'2026-11-30 18:41:57.248496+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','share-lab-with-user','labs','5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','name=bob','127.0.0.1',204,'');
INSERT INTO "audit_entries" VALUES(44,'2026-11-30 18:41:57.302106+00:00','ann','01a22dc3-670b-7c10-900c-af0358e3d470','token','begin-upload','uploads','half_1796064117267.qcow2','','','127.0.0.1',201,'');
INSERT INTO "audit_entries" VALUES(45,'2026-11-30 18:41:57.350348+00:00','admin','01a22dc3-603f-7f05-b28e-719a3bf0c953','token','delete-user','users','gone','','','127.0.0.1',204,'');
CREATE TABLE `group_members` (`group_id` varchar(36),`user_id` varchar(36),PRIMARY KEY (`group_id`,`user_id`),CONSTRAINT `fk_group_members_group` FOREIGN KEY (`group_id`) REFERENCES `groups`(`id`) ON DELETE CASCADE,CONSTRAINT `fk_group_members_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE);
INSERT INTO "group_members" VALUES('01a22dc3-7818-74f1-9991-40507ac6236f','01a22dc3-6a05-7c14-a82f-734f55112487');
CREATE TABLE `groups` (`id` varchar(36),`name` varchar(64) NOT NULL,`created` datetime NOT NULL,PRIMARY KEY (`id`));
INSERT INTO "groups" VALUES('01a22dc3-7818-74f1-9991-40507ac6236f','class','2026-11-30 18:41:54.712324+00:00');
CREATE TABLE `idempotency_keys` (`account` varchar(36),`idempotency_key` varchar(255),`route` varchar(255) NOT NULL,`digest` varchar(64) NOT NULL,`attempt` varchar(36) NOT NULL,`holder` varchar(36) NOT NULL,`status` integer NOT NULL,`location` text NOT NULL,`content_type` varchar(255) NOT NULL,`body` text NOT NULL,`created` datetime NOT NULL,PRIMARY KEY (`account`,`idempotency_key`));
CREATE TABLE `identities` (`issuer` varchar(255),`subject` varchar(255),`user_id` varchar(36) NOT NULL,`created` datetime NOT NULL,PRIMARY KEY (`issuer`,`subject`),CONSTRAINT `fk_identities_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE);
CREATE TABLE `images` (`host` text,`id` text,`type` text NOT NULL,`volume` text NOT NULL,`display_name` text NOT NULL,`os_type` text,`state` text NOT NULL,`reason` text,`sha256` text,`owner` text,`created` datetime NOT NULL, `format` varchar(16), `description` text, `tags` text, `source_format` varchar(16),PRIMARY KEY (`host`,`id`));
INSERT INTO "images" VALUES('local','micro','base','micro.qcow2','Micro','linux','ready','','12151d93abaf5a42eb190b86087c12e07c8c12a643e13d069c2d5282e3bdb1ea','operator','2026-11-30 18:41:46.325395298+00:00','qcow2','','','qcow2');
INSERT INTO "images" VALUES('local','mine_1796064114841.qcow2','custom','mine_1796064114841.qcow2','mine','','ready','','a868962514df6e6678042c72d4eebca7b842a2e4edd1df7e00bdf626a6fac15c','ann','2026-11-30 18:41:54.841121665+00:00','qcow2','','','qcow2');
INSERT INTO "images" VALUES('local','captured_1796064115409.qcow2','custom','captured_1796064115409.qcow2','captured','','ready','','','ann','2026-11-30 18:41:55.506486759+00:00','qcow2','','','qcow2');
INSERT INTO "images" VALUES('local','half_1796064117267.qcow2','custom','half_1796064117267.qcow2','half','','uploading','','','ann','2026-11-30 18:41:57.267658586+00:00','','','','');
CREATE TABLE `intents` (`id` varchar(36),`kind` varchar(64) NOT NULL,`host` varchar(255) NOT NULL,`data` text NOT NULL,`created` datetime NOT NULL,`holder` varchar(36) NOT NULL,PRIMARY KEY (`id`));
CREATE TABLE `jobs` (`id` varchar(36),`kind` varchar(64) NOT NULL,`owner` varchar(255) NOT NULL,`target_type` varchar(16) NOT NULL,`target_id` varchar(255) NOT NULL,`target_host` varchar(255) NOT NULL,`active_key` varchar(600),`args` text NOT NULL,`checkpoint` text NOT NULL,`state` varchar(16) NOT NULL,`step` varchar(64) NOT NULL,`done_bytes` integer NOT NULL,`total_bytes` integer NOT NULL,`attempt` integer NOT NULL,`max_attempts` integer NOT NULL,`next_attempt` datetime,`outcome` varchar(16) NOT NULL,`error_code` varchar(64) NOT NULL,`error` text NOT NULL,`holder` varchar(36) NOT NULL,`queue_id` integer NOT NULL,`created` datetime NOT NULL,`started` datetime,`finished` datetime,PRIMARY KEY (`id`));
INSERT INTO "jobs" VALUES('01a22dc3-7ad1-7873-a881-fc36c66e49ea','node.image','ann','image','captured_1796064115409.qcow2','local',NULL,'{"id":"captured_1796064115409.qcow2","host":"local","owner":"ann","volume":"captured_1796064115409.qcow2","name":"captured","node":"a21280c7-80ba-4968-88ad-915f8da936c3"}','','succeeded','verifying',0,0,1,6,NULL,'','','','',1,'2026-11-30 18:41:55.409554+00:00','2026-11-30 18:41:55.492804+00:00','2026-11-30 18:41:55.847373+00:00');
CREATE TABLE `lab_places` (`kind` varchar(16),`object_id` varchar(36),`lab_id` varchar(36) NOT NULL,`x` real NOT NULL,`y` real NOT NULL,PRIMARY KEY (`kind`,`object_id`),CONSTRAINT `fk_lab_places_lab` FOREIGN KEY (`lab_id`) REFERENCES `labs`(`id`) ON DELETE CASCADE);
INSERT INTO "lab_places" VALUES('node','ea193794-aac8-41ad-8e53-f4708e4c70f3','5ae2ca32-e61b-4af9-8562-9d379f112cc8',1.0,2.0);
INSERT INTO "lab_places" VALUES('network','d84b1293-384d-4264-9504-dc6a6c11e493','5ae2ca32-e61b-4af9-8562-9d379f112cc8',3.0,4.0);
CREATE TABLE `labs` (`id` varchar(36),`name` varchar(64) NOT NULL,`owner` varchar(255) NOT NULL,`created` datetime NOT NULL,PRIMARY KEY (`id`));
INSERT INTO "labs" VALUES('5ae2ca32-e61b-4af9-8562-9d379f112cc8','course','ann','2026-11-30 18:41:56.357036+00:00');
CREATE TABLE `recovery_codes` (`user_id` varchar(36),`hash` varchar(64),PRIMARY KEY (`user_id`,`hash`),CONSTRAINT `fk_recovery_codes_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE);
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','b0b2c618b7ece61c69dc59299d6a34a19e00af46f1815c126baf76a2181598f2');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','95adbd146784f8896f435e741b2efaf0e6490b34a67e18f17f644d64dca5394c');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','eeaf90a5f5e8ec5023970c292f755d0e97a39d988460554655c578e5befbb51c');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','1cdda25caa5c0bd003a7b551e01fe754d1c41462a887d257ab8554d43f4e1031');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','c61d1755a4c5e9e949084187f8823b75aea0563408bfb0a9dda6fe6e3b590193');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','f6f500393a8ab05e87b4eb1dcac8dfa885e48189134f315e17e77a658f9ba229');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','3f79b70b2f263c7a25b29b730893a9c767e70ad318113ea39f805be34484d748');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','44cf931fbdd225c497f57a2a37f012a810461c80bc3905f53e4f00560cad9ee1');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','c0fb5a92ed896ef9f1e0065c0d2c7c48b6d03984a630bf33d893d42860a54c44');
INSERT INTO "recovery_codes" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','d3d49f120e5dee4743db4a9521a58e35e82b364f3e6e8b010deb05ad61c15527');
CREATE TABLE river_job (
    id integer PRIMARY KEY AUTOINCREMENT,
    args blob NOT NULL DEFAULT (jsonb('{}')),
    attempt integer NOT NULL DEFAULT 0,
    attempted_at timestamp,
    attempted_by blob, -- json
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    errors blob, -- json
    finalized_at timestamp,
    kind text NOT NULL,
    max_attempts integer NOT NULL DEFAULT 25,
    metadata blob NOT NULL DEFAULT (jsonb('{}')),
    priority integer NOT NULL DEFAULT 1,
    queue text NOT NULL DEFAULT 'default',
    state text NOT NULL DEFAULT 'available',
    scheduled_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    tags blob NOT NULL DEFAULT (jsonb('[]')),
    unique_key blob,
    unique_states integer,
    CONSTRAINT finalized_or_finalized_at_null CHECK (
        (finalized_at IS NULL AND state NOT IN ('cancelled', 'completed', 'discarded')) OR
        (finalized_at IS NOT NULL AND state IN ('cancelled', 'completed', 'discarded'))
    ),
    CONSTRAINT priority_in_range CHECK (priority >= 1 AND priority <= 4),
    CONSTRAINT queue_length CHECK (length(queue) > 0 AND length(queue) < 128),
    CONSTRAINT kind_length CHECK (length(kind) > 0 AND length(kind) < 128),
    CONSTRAINT state_valid CHECK (state IN ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'))
);
INSERT INTO "river_job" VALUES(1,X'CC29276964C72430316132326463332D376164312D373837332D613838312D666333366336366534396561',1,'2026-11-30 18:41:55.490',X'CB26C72430363231663766612D306365332D346433302D626234302D333934373166626131643465','2026-11-30 18:41:55.409',NULL,'2026-11-30 18:41:55.849','job',16384,X'CC26C71272697665723A756E697175655F6E6F6E6365C71063663565666138323433613430356361',1,'default','completed','2026-11-30 18:41:55.409',X'0B',NULL,NULL);
CREATE TABLE river_leader (
    elected_at timestamp NOT NULL,
    expires_at timestamp NOT NULL,
    leader_id text NOT NULL,
    name text PRIMARY KEY NOT NULL DEFAULT 'default' CHECK (name = 'default'),
    CONSTRAINT name_length CHECK (length(name) > 0 AND length(name) < 128),
    CONSTRAINT leader_id_length CHECK (length(leader_id) > 0 AND length(leader_id) < 128)
);
CREATE TABLE river_migration (
    line text NOT NULL,
    version integer NOT NULL,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT line_length CHECK (length(line) > 0 AND length(line) < 128),
    CONSTRAINT version_gte_1 CHECK (version >= 1),
    PRIMARY KEY (line, version)
);
INSERT INTO "river_migration" VALUES('main',1,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',2,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',3,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',4,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',5,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',6,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',7,'2026-11-30 18:41:46');
INSERT INTO "river_migration" VALUES('main',8,'2026-11-30 18:41:46');
CREATE TABLE river_notification (
    id integer PRIMARY KEY AUTOINCREMENT,
    created_at timestamp NOT NULL DEFAULT (datetime('now', 'subsec')),
    payload text NOT NULL,
    topic text NOT NULL,
    CONSTRAINT topic_length CHECK (length(topic) > 0 AND length(topic) < 128)
);
INSERT INTO "river_notification" VALUES(1,'2026-11-30 18:41:55.410','{"queue": "default"}','river_insert');
CREATE TABLE river_queue (
    name text PRIMARY KEY NOT NULL,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    metadata blob NOT NULL DEFAULT (jsonb('{}')),
    paused_at timestamp,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO "river_queue" VALUES('default','2026-11-30 18:41:48.622',X'0C',NULL,'2026-11-30 18:41:48.622');
CREATE TABLE `schema_migrations` (`id` text,PRIMARY KEY (`id`));
INSERT INTO "schema_migrations" VALUES('2026112301_intents');
INSERT INTO "schema_migrations" VALUES('2026112302_accounts');
INSERT INTO "schema_migrations" VALUES('2026112302_images');
INSERT INTO "schema_migrations" VALUES('2026112410_jobs');
INSERT INTO "schema_migrations" VALUES('2026112410_uploads');
INSERT INTO "schema_migrations" VALUES('2026112411_audit');
INSERT INTO "schema_migrations" VALUES('2026112411_image_details');
INSERT INTO "schema_migrations" VALUES('2026112420_rights');
INSERT INTO "schema_migrations" VALUES('2026112501_converted_uploads');
INSERT INTO "schema_migrations" VALUES('2026112502_image_sources');
INSERT INTO "schema_migrations" VALUES('2026112503_parts');
INSERT INTO "schema_migrations" VALUES('2026112515_sign_in');
INSERT INTO "schema_migrations" VALUES('2026112520_labs');
INSERT INTO "schema_migrations" VALUES('2026112901_idempotency_keys');
CREATE TABLE `sessions` (`id` varchar(64),`public_id` varchar(36) NOT NULL,`user_id` varchar(36) NOT NULL,`data` blob NOT NULL,`created` datetime NOT NULL,`used` datetime NOT NULL,`expires` datetime NOT NULL,`address` varchar(64) NOT NULL,`agent` varchar(255) NOT NULL,PRIMARY KEY (`id`),CONSTRAINT `fk_sessions_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE);
INSERT INTO "sessions" VALUES('CwdfDkGg7i-aYNZimxWaQMEb-Brb0ykI0mnhq1ePBVo','741d843d-f07a-4e2c-97ba-3a84b0fbd9d2','01a22dc3-603f-7f05-b28e-719a3bf0c953',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BED2B78D478FFFF010302696406737472696E670C26002437343164383433642D663037612D346532632D393762612D336138346230666264396432047573657206737472696E670C26002430316132326463332D363033662D376630352D623238652D3731396133626630633935330565706F636805696E7436340402000200','2026-11-30 18:41:49.729339+00:00','2026-11-30 18:41:49.730401+00:00','2026-12-01 18:41:49.729339+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('IPSuFr-iajir6aXb6NlvjUb1mUmkS9VPcoXT5MgRI0M','9ed5d12a-75cd-4d18-90d7-b2ca06b43b2a','01a22dc3-670b-7c10-900c-af0358e3d470',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BEF29071CE0FFFF010302696406737472696E670C26002439656435643132612D373563642D346431382D393064372D623263613036623433623261047573657206737472696E670C26002430316132326463332D363730622D376331302D393030632D6166303335386533643437300565706F636805696E7436340402000200','2026-11-30 18:41:51.688332+00:00','2026-11-30 18:41:51.688812+00:00','2026-12-01 18:41:51.688332+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('ThMiCyDG9RhGMEWyfmvzFo1UQfERRRM3mnOhrnodVjE','3d49c555-55ed-46f8-9b43-4cdc229f170e','01a22dc3-6887-76c2-b2f9-a0e00275273f',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BEF32727590FFFF010302696406737472696E670C26002433643439633535352D353565642D343666382D396234332D346364633232396631373065047573657206737472696E670C26002430316132326463332D363838372D373663322D623266392D6130653030323735323733660565706F636805696E7436340402000200','2026-11-30 18:41:51.846362+00:00','2026-11-30 18:41:51.846871+00:00','2026-12-01 18:41:51.846362+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('lEWrjrSxD6FelMG5yGFWOM3RsDa5b_odzJR91478r0s','41b1359b-4db1-4973-b7a7-2f3e364c8072','01a22dc3-6979-7d4f-a683-fe7ce2bb1657',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BF0014E4250FFFF010302696406737472696E670C26002434316231333539622D346462312D343937332D623761372D326633653336346338303732047573657206737472696E670C26002430316132326463332D363937392D376434662D613638332D6665376365326262313635370565706F636805696E7436340402000200','2026-11-30 18:41:52.021906+00:00','2026-11-30 18:41:52.024542+00:00','2026-12-01 18:41:52.021906+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('eHQz8_TBNPSmY3vyro8P79G5S2Q6zXZNm4tW5f8NbVs','35192121-b9a0-416d-9ac0-0ba5798a6aab','01a22dc3-6a05-7c14-a82f-734f55112487',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BF026308CE0FFFF010302696406737472696E670C26002433353139323132312D623961302D343136642D396163302D306261353739386136616162047573657206737472696E670C26002430316132326463332D366130352D376331342D613832662D3733346635353131323438370565706F636805696E7436340402000200','2026-11-30 18:41:52.640716+00:00','2026-11-30 18:41:52.64104+00:00','2026-12-01 18:41:52.640716+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('YS9FUc8wZs6jDP3iExxifsl1cIBcfDENjfJtJ_-xj9Q','c11794b2-d0ee-48bd-92c1-4cd1f38b984a','01a22dc3-670b-7c10-900c-af0358e3d470',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BF13702DED8FFFF010302696406737472696E670C26002463313137393462322D643065652D343862642D393263312D346364316633386239383461047573657206737472696E670C26002430316132326463332D363730622D376331302D393030632D6166303335386533643437300565706F636805696E7436340402000200','2026-11-30 18:41:53.922935+00:00','2026-11-30 18:41:53.923228+00:00','2026-12-01 18:41:53.922935+00:00','127.0.0.1','Python-urllib/3.11');
INSERT INTO "sessions" VALUES('FbAco8GgZZrqSKeTmas2CPdoRicO6955iGYLbhKo-B0','593dd5cb-dfbb-4cf2-bbc0-a67791e1cfe6','01a22dc3-6a94-7a34-bab1-64fc9c09d673',X'257F030102FF800001020108446561646C696E6501FF8200010656616C75657301FF8400000010FF810501010454696D6501FF8200000027FF83040101176D61705B737472696E675D696E74657266616365207B7D01FF8400010C01100000FF8CFF80010F010000000EE2A10BF222BCCE98FFFF010302696406737472696E670C26002435393364643563622D646662622D346366322D626263302D613637373931653163666536047573657206737472696E670C26002430316132326463332D366139342D376133342D626162312D3634666339633039643637330565706F636805696E7436340402000200','2026-11-30 18:41:54.582799+00:00','2026-11-30 18:41:54.583222+00:00','2026-12-01 18:41:54.582799+00:00','127.0.0.1','Python-urllib/3.11');
CREATE TABLE `shares` (`id` varchar(36),`kind` varchar(16) NOT NULL,`object_id` varchar(255) NOT NULL,`user_id` varchar(36),`group_id` varchar(36),`level` integer NOT NULL,`created` datetime NOT NULL,PRIMARY KEY (`id`),CONSTRAINT `fk_shares_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE,CONSTRAINT `fk_shares_group` FOREIGN KEY (`group_id`) REFERENCES `groups`(`id`) ON DELETE CASCADE);
INSERT INTO "shares" VALUES('01a22dc3-817a-750b-8438-d74e1f8ff0cb','node','a21280c7-80ba-4968-88ad-915f8da936c3','01a22dc3-6979-7d4f-a683-fe7ce2bb1657',NULL,2,'2026-11-30 18:41:57.114331+00:00');
INSERT INTO "shares" VALUES('01a22dc3-81a5-727b-b66d-ea1a477e04e8','image','mine_1796064114841.qcow2',NULL,'01a22dc3-7818-74f1-9991-40507ac6236f',1,'2026-11-30 18:41:57.157163+00:00');
INSERT INTO "shares" VALUES('01a22dc3-81f7-795d-8464-daa6870741c7','lab','5ae2ca32-e61b-4af9-8562-9d379f112cc8','01a22dc3-6979-7d4f-a683-fe7ce2bb1657',NULL,1,'2026-11-30 18:41:57.239614+00:00');
CREATE TABLE `tokens` (`id` varchar(36),`user_id` varchar(36) NOT NULL,`name` varchar(255) NOT NULL,`hash` varchar(64) NOT NULL,`created` datetime NOT NULL,`expires` datetime,`used` datetime, `scopes` varchar(64) NOT NULL DEFAULT "",PRIMARY KEY (`id`),CONSTRAINT `fk_tokens_user` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE);
INSERT INTO "tokens" VALUES('01a22dc3-64b6-7a25-8f16-49b12e209190','01a22dc3-603f-7f05-b28e-719a3bf0c953','of the upgrade','2c55092d805710cf635f58b224eff332c7dfd278321cdf5a8506139e78489143','2026-11-30 18:41:49.750658+00:00',NULL,'2026-11-30 18:41:49.773047+00:00','');
INSERT INTO "tokens" VALUES('01a22dc3-6c50-77ff-89a8-43153f3494c4','01a22dc3-670b-7c10-900c-af0358e3d470','of the upgrade','8123f4060f716ff8ca623fc13ddc814cebe14dfc2d6a6705e495d9dec038ccaa','2026-11-30 18:41:51.696518+00:00',NULL,'2026-11-30 18:41:54.081487+00:00','');
INSERT INTO "tokens" VALUES('01a22dc3-6ced-7737-b857-046edfd4924b','01a22dc3-6887-76c2-b2f9-a0e00275273f','of the upgrade','d648a58f9346c3c69b39b2ab47394e3de1b781adbc0dc97fedb9276f691163d2','2026-11-30 18:41:51.853468+00:00',NULL,'2026-11-30 18:41:55.274264+00:00','');
INSERT INTO "tokens" VALUES('01a22dc3-6db5-756a-ba70-6e1e936db8a7','01a22dc3-6979-7d4f-a683-fe7ce2bb1657','of the upgrade','6e07afd95d0481d88f664bdd580082d52a74e14286855e4e3fb96fb4f1b60671','2026-11-30 18:41:52.053349+00:00',NULL,NULL,'');
INSERT INTO "tokens" VALUES('01a22dc3-7014-7036-946f-0fc48b249708','01a22dc3-6a05-7c14-a82f-734f55112487','of the upgrade','6f9763927a66899d42be534347115d815a0a249d2bf385762aa2b60dc2186f2b','2026-11-30 18:41:52.660009+00:00',NULL,NULL,'');
INSERT INTO "tokens" VALUES('01a22dc3-7534-7a91-b55e-431728e9b463','01a22dc3-670b-7c10-900c-af0358e3d470','of the upgrade','cc121fb70324d168dd228aebed8843687781c9b3ab0bead5ec5c6bfa16830169','2026-11-30 18:41:53.972686+00:00',NULL,NULL,'read');
CREATE TABLE `uploads` (`id` varchar(255),`host` varchar(255),`owner` varchar(255) NOT NULL,`volume` varchar(255) NOT NULL,`format` varchar(16) NOT NULL,`size` integer NOT NULL,`stored` integer NOT NULL,`head` blob,`hash` blob,`sha256` varchar(64) NOT NULL,`metadata` text NOT NULL,`once` numeric NOT NULL,`complete` numeric NOT NULL,`holder` varchar(36) NOT NULL,`expires` datetime NOT NULL, `result` varchar(255) NOT NULL DEFAULT "", `pulled` numeric NOT NULL DEFAULT false, `part` numeric NOT NULL DEFAULT false, `joined_to` varchar(255) NOT NULL DEFAULT "", `parts` text NOT NULL DEFAULT "",PRIMARY KEY (`id`,`host`));
INSERT INTO "uploads" VALUES('half_1796064117267.qcow2','local','ann','','',4096,0,NULL,NULL,'','{"filename":"half.qcow2"}',0,0,'','2026-12-01 18:41:57.267675442+00:00','',0,0,'','');
CREATE TABLE `users` (`id` varchar(36),`name` varchar(64) NOT NULL,`role` varchar(16) NOT NULL,`password` varchar(255) NOT NULL,`epoch` integer NOT NULL,`created` datetime NOT NULL, `disabled` numeric NOT NULL DEFAULT false, `quota_nodes` integer, `quota_running` integer, `quota_cpus` integer, `quota_ram_mib` integer, `quota_disk_bytes` integer, `quota_uploads` integer, `must_change` numeric NOT NULL DEFAULT false, `totp_secret` varchar(255) NOT NULL DEFAULT "", `totp_on` numeric NOT NULL DEFAULT false, `totp_step` integer NOT NULL DEFAULT 0, `ssh_keys` text NOT NULL DEFAULT "",PRIMARY KEY (`id`));
INSERT INTO "users" VALUES('01a22dc3-603f-7f05-b28e-719a3bf0c953','admin','admin','$argon2id$v=19$m=65536,t=3,p=2$/L2qKvPZRjuiTkd/+z72Tw$SpHXpoW0qXCA+DvoRr4tsZ8RZj3/TLZHEO0pPPcWFV4',1,'2026-11-30 18:41:48.607986+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,0,'');
INSERT INTO "users" VALUES('01a22dc3-670b-7c10-900c-af0358e3d470','ann','instructor','$argon2id$v=19$m=65536,t=3,p=2$SEPcWi2CsdE1kpBL3coxvg$WwG2VMXOsIT1cR3rUNKdU+aVBVBOiYtJESBPvECVNvg',1,'2026-11-30 18:41:50.347792+00:00',0,3,NULL,NULL,NULL,NULL,2,0,'',0,0,'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBP5eXq0fIvNGV7tJZrbO5eq5ZkXjKJcPPsG7zsQq1sG ann@home');
INSERT INTO "users" VALUES('01a22dc3-6887-76c2-b2f9-a0e00275273f','eve','instructor','$argon2id$v=19$m=65536,t=3,p=2$8O8SPBVtwgEernJmjyifNg$itM1+ZtjpiKn4Qn4Y8/rHi7iUWNqlKLVtL5MwFY/1os',1,'2026-11-30 18:41:50.727444+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,0,'');
INSERT INTO "users" VALUES('01a22dc3-6979-7d4f-a683-fe7ce2bb1657','bob','student','$argon2id$v=19$m=65536,t=3,p=2$AI41MKzWy8/lXDIu0R9T/w$OHP05EIM89/n7MdRqaUDHkt1vsrNefOdObCnc3Faji0',1,'2026-11-30 18:41:50.969874+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,0,'');
INSERT INTO "users" VALUES('01a22dc3-6a05-7c14-a82f-734f55112487','cat','viewer','$argon2id$v=19$m=65536,t=3,p=2$jTqvEjqmd/9dwj5KQPe6/w$t5YFkPb0JfavyorzlKnlVNV+OZL2e4E6P5c1QJRP0nA',1,'2026-11-30 18:41:51.109793+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,0,'');
INSERT INTO "users" VALUES('01a22dc3-6a94-7a34-bab1-64fc9c09d673','tess','instructor','$argon2id$v=19$m=65536,t=3,p=2$L+5oV4XS+TOt0zuZKSGJnA$0cS6AFy9tRa5y3V3NJ/wTj0uke0docTlwK2OFNrcMp8',1,'2026-11-30 18:41:51.252671+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,0,'sealed:8323f816:D6-c99NWkkCz9UU0HpfNpgp6tAQBgqe7lr4l4BAsdLfkkciltlmNktFRKlUfwOsbEHV6RQHs824yqaHs',1,59868803,'');
INSERT INTO "users" VALUES('01a22dc3-6bad-7379-81a9-4f2261dcc25b','fresh','student','$argon2id$v=19$m=65536,t=3,p=2$1V9PiKMAnanG0hsLHVmE+w$l/pyxIpb4gR/GjOPoOQl2jx25QP4cyjiCDRD5ij0m9g',1,'2026-11-30 18:41:51.533229+00:00',0,NULL,NULL,NULL,NULL,NULL,NULL,1,'',0,0,'');
CREATE INDEX `idx_intents_host` ON `intents`(`host`);
CREATE UNIQUE INDEX `idx_users_name` ON `users`(`name`);
CREATE UNIQUE INDEX `idx_tokens_hash` ON `tokens`(`hash`);
CREATE INDEX `idx_tokens_user_id` ON `tokens`(`user_id`);
CREATE INDEX `idx_jobs_state` ON `jobs`(`state`);
CREATE UNIQUE INDEX `idx_jobs_active` ON `jobs`(`active_key`);
CREATE INDEX `idx_audit_target_name` ON `audit_entries`(`target_name`);
CREATE INDEX `idx_audit_target_id` ON `audit_entries`(`target_id`);
CREATE INDEX `idx_audit_action` ON `audit_entries`(`action`);
CREATE INDEX `idx_audit_actor` ON `audit_entries`(`actor`);
CREATE INDEX `idx_audit_time` ON `audit_entries`(`time`);
CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE UNIQUE INDEX `idx_groups_name` ON `groups`(`name`);
CREATE INDEX `idx_group_members_user_id` ON `group_members`(`user_id`);
CREATE INDEX `idx_shares_group_id` ON `shares`(`group_id`);
CREATE INDEX `idx_shares_user_id` ON `shares`(`user_id`);
CREATE UNIQUE INDEX `idx_shares_group` ON `shares`(`kind`,`object_id`,`group_id`);
CREATE UNIQUE INDEX `idx_shares_user` ON `shares`(`kind`,`object_id`,`user_id`);
CREATE INDEX `idx_sessions_expires` ON `sessions`(`expires`);
CREATE INDEX `idx_sessions_user_id` ON `sessions`(`user_id`);
CREATE INDEX `idx_identities_user_id` ON `identities`(`user_id`);
CREATE INDEX `idx_labs_owner` ON `labs`(`owner`);
CREATE INDEX `idx_lab_places_lab_id` ON `lab_places`(`lab_id`);
CREATE INDEX `idx_idempotency_keys_created` ON `idempotency_keys`(`created`);
CREATE INDEX river_notification_created_at_idx ON river_notification (created_at);
CREATE INDEX river_notification_topic_id_idx ON river_notification (topic, id);
CREATE INDEX river_job_kind ON river_job (kind);
CREATE INDEX river_job_state_and_finalized_at_index ON river_job (state, finalized_at) WHERE finalized_at IS NOT NULL;
CREATE INDEX river_job_prioritized_fetching_index ON river_job (state, queue, priority, scheduled_at, id);
CREATE UNIQUE INDEX river_job_unique_idx ON river_job (unique_key)
    WHERE unique_key IS NOT NULL
        AND unique_states IS NOT NULL
        AND CASE state
            WHEN 'available' THEN unique_states & (1 << 0)
            WHEN 'cancelled' THEN unique_states & (1 << 1)
            WHEN 'completed' THEN unique_states & (1 << 2)
            WHEN 'discarded' THEN unique_states & (1 << 3)
            WHEN 'pending'   THEN unique_states & (1 << 4)
            WHEN 'retryable' THEN unique_states & (1 << 5)
            WHEN 'running'   THEN unique_states & (1 << 6)
            WHEN 'scheduled' THEN unique_states & (1 << 7)
            ELSE 0
        END >= 1;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('river_job',1);
INSERT INTO "sqlite_sequence" VALUES('audit_entries',45);
INSERT INTO "sqlite_sequence" VALUES('river_notification',1);
COMMIT;
