// Names of the servers' built-in functions and of keywords that stand before a parenthesis, by the
// versions that have them. Data of words.cc only; sources there.
#ifndef BULKHEAD_PROXY_SQL_BUILTIN_FUNCTIONS_H_
#define BULKHEAD_PROXY_SQL_BUILTIN_FUNCTIONS_H_

#include <array>
#include <string_view>

#include "proxy/sql/words.h"

namespace bulkhead::sql {

// Words apart by single spaces.
struct WordGroup {
  CallForm form;
  CallEffect effect;
  uint32_t since_mysql;
  uint32_t since_mariadb;
  std::string_view words;
  uint32_t before_mysql = kNotThere;  // gone from that version on
};

inline constexpr std::array kWordGroups = {
    // Keywords of all versions that no stored function can be called by: what follows in
    // parentheses is a list, an expression or a type. MariaDB takes many others as names.
    WordGroup{CallForm::kNever, CallEffect::kNone, kAlways, kAlways,
              "ADD ANY ASC BETWEEN BIGINT BLOB BOTH BY CASE COLUMN CONSTRAINT CROSS DATETIME "
              "DEC DECIMAL DISTINCT DISTINCTROW DIV DOUBLE ELSE ELSEIF FLOAT FORCE FOREIGN "
              "FULLTEXT INNER INT INTEGER IS LEADING LIKE LINES LONGBLOB LONGTEXT MEDIUMBLOB "
              "MEDIUMINT MEDIUMTEXT NATURAL NCHAR NUMERIC NVARCHAR OUTER PARTITION PRIMARY "
              "RANGE REAL REFERENCES REGEXP RETURN RLIKE ROW ROWS SEPARATOR SMALLINT SOME "
              "SPATIAL SQL_BIG_RESULT SQL_SMALL_RESULT THEN TINYBLOB TINYINT TINYTEXT TRAILING "
              "UNIQUE UNSIGNED VARBINARY VARCHAR WHEN WHILE XOR"},
    WordGroup{CallForm::kNever, CallEffect::kNone, kAlways, kNotThere,
              "AGAINST COLUMNS ESCAPE OF SQL_BUFFER_RESULT SQL_NO_CACHE"},
    WordGroup{CallForm::kNever, CallEffect::kNone, 80000, kAlways, "OVER"},
    WordGroup{CallForm::kNever, CallEffect::kNone, 50700, kAlways, "JSON"},

    // Only with the parenthesis right behind the name.
    WordGroup{CallForm::kAdjacent, CallEffect::kNone, kAlways, kAlways,
              "ADDDATE BIT_AND BIT_OR BIT_XOR CAST CURDATE CURTIME DATE_ADD DATE_SUB GROUP_CONCAT "
              "MAX MIN NOW POSITION SESSION_USER STD STDDEV STDDEV_POP STDDEV_SAMP SUBDATE SUM "
              "SYSDATE SYSTEM_USER VARIANCE VAR_POP VAR_SAMP"},
    WordGroup{CallForm::kAdjacent, CallEffect::kFromInside, kAlways, kAlways,
              "EXTRACT MID SUBSTR SUBSTRING TRIM"},
    WordGroup{CallForm::kAdjacent, CallEffect::kFromInside, kNotThere, kAlways, "TRIM_ORACLE"},
    WordGroup{CallForm::kAdjacent, CallEffect::kNone, 50722, kAlways,
              "JSON_ARRAYAGG JSON_OBJECTAGG"},
    WordGroup{CallForm::kAdjacent, CallEffect::kNone, 80000, kAlways,
              "CUME_DIST DENSE_RANK FIRST_VALUE LAG LEAD NTH_VALUE NTILE PERCENT_RANK RANK"},
    WordGroup{CallForm::kAdjacent, CallEffect::kNone, kNotThere, kAlways,
              "MEDIAN PERCENTILE_CONT PERCENTILE_DISC"},
    WordGroup{CallForm::kAdjacent, CallEffect::kNone, 80024, kNotThere, "ST_COLLECT"},

    // Effects on the session.
    WordGroup{CallForm::kBuiltin, CallEffect::kLock, kAlways, kAlways, "GET_LOCK RELEASE_LOCK"},
    WordGroup{CallForm::kBuiltin, CallEffect::kLock, kAlways, kAlways, "RELEASE_ALL_LOCKS"},
    WordGroup{CallForm::kBuiltin, CallEffect::kLastInsertId, kAlways, kAlways, "LAST_INSERT_ID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kFoundRows, kAlways, kAlways, "FOUND_ROWS"},
    WordGroup{CallForm::kBuiltin, CallEffect::kRowCount, kAlways, kAlways, "ROW_COUNT"},
    WordGroup{CallForm::kBuiltin, CallEffect::kConnectionId, kAlways, kAlways, "CONNECTION_ID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kConnectionId, 80016, kNotThere,
              "PS_CURRENT_THREAD_ID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kSessionStatus, kNotThere, kAlways,
              "WSREP_LAST_SEEN_GTID WSREP_LAST_WRITTEN_GTID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kSequence, kNotThere, kAlways,
              "LASTVAL NEXTVAL SETVAL"},

    // Written like a function by the grammar of all versions.
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kAlways,
              "ASCII BINARY CHAR COALESCE COLLATION CONVERT CURRENT_DATE CURRENT_TIME "
              "CURRENT_TIMESTAMP CURRENT_USER DATE DAY GET_FORMAT HOUR INTERVAL LEFT LOCALTIME "
              "LOCALTIMESTAMP MATCH MICROSECOND MINUTE MOD MONTH QUARTER REPEAT REVERSE RIGHT "
              "SECOND TIME TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF UTC_DATE UTC_TIME UTC_TIMESTAMP "
              "WEEK WEIGHT_STRING YEAR"},
    // With another number of arguments MariaDB looks for a stored function.
    WordGroup{CallForm::kBuiltin, CallEffect::kTwoArguments, kAlways, kAlways, "POINT"},
    WordGroup{CallForm::kBuiltin, CallEffect::kSomeArgument, kAlways, kAlways,
              "GEOMETRYCOLLECTION LINESTRING MULTILINESTRING MULTIPOINT MULTIPOLYGON POLYGON"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80000, kAlways, "LAST_VALUE ROW_NUMBER"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80001, kNotThere, "GROUPING"},

    // Found by name, in both families.
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kAlways,
              "ABS ACOS ADDTIME AES_DECRYPT AES_ENCRYPT ASIN ATAN ATAN2 BENCHMARK BIN BIT_COUNT "
              "BIT_LENGTH CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH COERCIBILITY COMPRESS "
              "CONCAT CONCAT_WS CONV CONVERT_TZ COS COT CRC32 DATEDIFF DATE_FORMAT DAYNAME "
              "DAYOFMONTH DAYOFWEEK DAYOFYEAR DEGREES ELT EXP EXPORT_SET EXTRACTVALUE FIELD "
              "FIND_IN_SET FLOOR FROM_BASE64 FROM_DAYS FROM_UNIXTIME GREATEST HEX IFNULL "
              "INET6_ATON INET6_NTOA INET_ATON INET_NTOA INSTR ISNULL IS_FREE_LOCK IS_IPV4 "
              "IS_IPV4_COMPAT IS_IPV4_MAPPED IS_IPV6 IS_USED_LOCK JSON_ARRAY JSON_ARRAY_APPEND "
              "JSON_ARRAY_INSERT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH JSON_EXTRACT "
              "JSON_INSERT JSON_KEYS JSON_LENGTH JSON_OBJECT JSON_QUOTE JSON_REMOVE "
              "JSON_REPLACE JSON_SEARCH JSON_SET JSON_TYPE JSON_UNQUOTE JSON_VALID LAST_DAY "
              "LCASE LEAST LENGTH LN LOAD_FILE LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAKEDATE "
              "MAKETIME MAKE_SET MONTHNAME NAME_CONST NULLIF OCT OCTET_LENGTH ORD PERIOD_ADD "
              "PERIOD_DIFF PI POW POWER QUOTE RADIANS RAND ROUND RPAD RTRIM SEC_TO_TIME SHA2 "
              "SIGN SIN SLEEP SOUNDEX SPACE SQRT STRCMP STR_TO_DATE SUBSTRING_INDEX SUBTIME TAN "
              "TIMEDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_DAYS TO_SECONDS UCASE UNCOMPRESS "
              "UNCOMPRESSED_LENGTH UNHEX UNIX_TIMESTAMP UPDATEXML UPPER UUID UUID_SHORT VERSION "
              "WEEKDAY WEEKOFYEAR YEARWEEK"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kAlways, "MD5 SHA SHA1", 90600},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 50722, kAlways,
              "JSON_MERGE_PATCH JSON_MERGE_PRESERVE JSON_PRETTY"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80004, kAlways,
              "REGEXP_INSTR REGEXP_REPLACE REGEXP_SUBSTR"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, 101000, "RANDOM_BYTES"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80017, 100900, "JSON_OVERLAPS"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80017, 110100, "JSON_SCHEMA_VALID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80021, kAlways, "JSON_VALUE"},

    // Spatial functions of both families.
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kAlways,
              "MBRCONTAINS MBRDISJOINT MBRINTERSECTS MBROVERLAPS MBRTOUCHES MBRWITHIN ST_AREA "
              "ST_ASBINARY ST_ASGEOJSON ST_ASTEXT ST_ASWKB ST_ASWKT ST_BUFFER ST_CENTROID "
              "ST_CONTAINS ST_CONVEXHULL ST_CROSSES ST_DIFFERENCE ST_DIMENSION ST_DISJOINT "
              "ST_DISTANCE ST_ENDPOINT ST_ENVELOPE ST_EQUALS ST_EXTERIORRING ST_GEOMCOLLFROMTEXT "
              "ST_GEOMCOLLFROMWKB ST_GEOMETRYCOLLECTIONFROMTEXT ST_GEOMETRYCOLLECTIONFROMWKB "
              "ST_GEOMETRYFROMTEXT ST_GEOMETRYFROMWKB ST_GEOMETRYN ST_GEOMETRYTYPE "
              "ST_GEOMFROMGEOJSON ST_GEOMFROMTEXT ST_GEOMFROMWKB ST_INTERIORRINGN ST_INTERSECTION "
              "ST_INTERSECTS ST_ISCLOSED ST_ISEMPTY ST_ISSIMPLE ST_LENGTH ST_LINEFROMTEXT "
              "ST_LINEFROMWKB ST_LINESTRINGFROMTEXT ST_LINESTRINGFROMWKB ST_NUMGEOMETRIES "
              "ST_NUMINTERIORRINGS ST_NUMPOINTS ST_OVERLAPS ST_POINTFROMTEXT ST_POINTFROMWKB "
              "ST_POINTN ST_POLYFROMTEXT ST_POLYFROMWKB ST_POLYGONFROMTEXT ST_POLYGONFROMWKB "
              "ST_SRID ST_STARTPOINT ST_SYMDIFFERENCE ST_TOUCHES ST_UNION ST_WITHIN ST_X ST_Y"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kAlways,
              "MBREQUALS ST_MLINEFROMTEXT ST_MLINEFROMWKB ST_MPOINTFROMTEXT ST_MPOINTFROMWKB "
              "ST_MPOLYFROMTEXT ST_MPOLYFROMWKB ST_MULTILINESTRINGFROMTEXT "
              "ST_MULTILINESTRINGFROMWKB ST_MULTIPOINTFROMTEXT ST_MULTIPOINTFROMWKB "
              "ST_MULTIPOLYGONFROMTEXT ST_MULTIPOLYGONFROMWKB ST_DISTANCE_SPHERE"},

    // MySQL's own.
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kAlways, kNotThere,
              "ANY_VALUE GTID_SUBSET GTID_SUBTRACT MBRCOVEREDBY MBRCOVERS ST_GEOHASH ST_ISVALID "
              "ST_LATFROMGEOHASH ST_LONGFROMGEOHASH ST_MAKEENVELOPE ST_NUMINTERIORRING "
              "ST_POINTFROMGEOHASH ST_SIMPLIFY ST_VALIDATE VALIDATE_PASSWORD_STRENGTH "
              "WAIT_FOR_EXECUTED_GTID_SET"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 50722, kNotThere, "JSON_STORAGE_SIZE"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80000, kNotThere,
              "BIN_TO_UUID IS_UUID UUID_TO_BIN"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80000, kAlways, "CURRENT_ROLE"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80004, kNotThere,
              "ICU_VERSION JSON_STORAGE_FREE REGEXP_LIKE ROLES_GRAPHML STATEMENT_DIGEST "
              "STATEMENT_DIGEST_TEXT ST_SWAPXY"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80013, kNotThere,
              "ST_LATITUDE ST_LONGITUDE ST_TRANSFORM"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80017, kNotThere,
              "FORMAT_BYTES FORMAT_PICO_TIME JSON_SCHEMA_VALIDATION_REPORT PS_THREAD_ID"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 80026, kNotThere,
              "SOURCE_POS_WAIT ST_FRECHETDISTANCE ST_HAUSDORFFDISTANCE ST_LINEINTERPOLATEPOINT "
              "ST_LINEINTERPOLATEPOINTS ST_POINTATDISTANCE"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, 90000, kNotThere,
              "FROM_VECTOR STRING_TO_VECTOR TO_VECTOR VECTOR_DIM VECTOR_TO_STRING"},

    // MariaDB's own, and what MySQL has given up.
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kNotThere, kAlways,
              "BINLOG_GTID_POS COLUMN_ADD COLUMN_CHECK COLUMN_CREATE COLUMN_DELETE COLUMN_EXISTS "
              "COLUMN_GET COLUMN_JSON COLUMN_LIST CONCAT_OPERATOR_ORACLE DECODE DECODE_HISTOGRAM "
              "DECODE_ORACLE DES_DECRYPT DES_ENCRYPT ENCODE ENCRYPT JSON_COMPACT JSON_DETAILED "
              "JSON_EXISTS JSON_LOOSE JSON_MERGE JSON_QUERY LENGTHB LPAD_ORACLE LTRIM_ORACLE "
              "MASTER_GTID_WAIT MASTER_POS_WAIT NVL NVL2 OLD_PASSWORD REPLACE_ORACLE RPAD_ORACLE "
              "RTRIM_ORACLE SUBSTR_ORACLE WSREP_SYNC_WAIT_UPTO_GTID"},
    WordGroup{
        CallForm::kBuiltin, CallEffect::kNone, kNotThere, kAlways,
        "AREA ASBINARY ASTEXT ASWKB ASWKT BOUNDARY BUFFER CENTROID CONTAINS CONVEXHULL CROSSES "
        "DIMENSION DISJOINT ENDPOINT ENVELOPE EQUALS EXTERIORRING GEOMCOLLFROMTEXT "
        "GEOMCOLLFROMWKB GEOMETRYCOLLECTIONFROMTEXT GEOMETRYCOLLECTIONFROMWKB "
        "GEOMETRYFROMTEXT GEOMETRYFROMWKB GEOMETRYN GEOMETRYTYPE GEOMFROMTEXT GEOMFROMWKB "
        "GLENGTH INTERIORRINGN INTERSECTS ISCLOSED ISEMPTY ISRING ISSIMPLE LINEFROMTEXT "
        "LINEFROMWKB LINESTRINGFROMTEXT LINESTRINGFROMWKB MBREQUAL MLINEFROMTEXT "
        "MLINEFROMWKB MPOINTFROMTEXT MPOINTFROMWKB MPOLYFROMTEXT MPOLYFROMWKB "
        "MULTILINESTRINGFROMTEXT MULTILINESTRINGFROMWKB MULTIPOINTFROMTEXT "
        "MULTIPOINTFROMWKB MULTIPOLYGONFROMTEXT MULTIPOLYGONFROMWKB NUMGEOMETRIES "
        "NUMINTERIORRINGS NUMPOINTS OVERLAPS POINTFROMTEXT POINTFROMWKB POINTN "
        "POINTONSURFACE POLYFROMTEXT POLYFROMWKB POLYGONFROMTEXT POLYGONFROMWKB SRID "
        "STARTPOINT ST_BOUNDARY ST_ISRING ST_POINTONSURFACE ST_RELATE TOUCHES WITHIN X Y"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kNotThere, 100601,
              "ADD_MONTHS CHR SYS_GUID TO_CHAR"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kNotThere, 100800,
              "CRC32C JSON_EQUALS JSON_NORMALIZE NATURAL_SORT_KEY SFORMAT"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kNotThere, 110300,
              "JSON_ARRAY_INTERSECT JSON_KEY_VALUE JSON_OBJECT_FILTER_KEYS JSON_OBJECT_TO_ARRAY"},
    WordGroup{CallForm::kBuiltin, CallEffect::kNone, kNotThere, 110800,
              "VEC_DISTANCE VEC_DISTANCE_COSINE VEC_DISTANCE_EUCLIDEAN VEC_FROMTEXT VEC_TOTEXT"},
};

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_BUILTIN_FUNCTIONS_H_
