// MariaDB Connector/J on the admin listener, as a graphical client uses it. args: host port user password
import java.sql.*;

public class Admin {
  static String names(ResultSet rows, String column) throws SQLException {
    StringBuilder found = new StringBuilder();
    while (rows.next()) found.append(found.length() == 0 ? "" : ",").append(rows.getString(column));
    return found.toString();
  }

  public static void main(String[] a) throws Exception {
    for (String options : new String[] {"", "&useServerPrepStmts=true"}) {
      try (Connection c = DriverManager.getConnection("jdbc:mariadb://" + a[0] + ":" + a[1] + "/bulkhead?allowPublicKeyRetrieval=true" + options, a[2], a[3])) {
        DatabaseMetaData meta = c.getMetaData();
        System.out.println("catalogs " + names(meta.getCatalogs(), "TABLE_CAT"));
        System.out.println("tables " + names(meta.getTables("bulkhead", null, "%", null), "TABLE_NAME"));
        System.out.println("columns " + names(meta.getColumns("bulkhead", null, "holds", null), "COLUMN_NAME"));
        System.out.println("keys [" + names(meta.getPrimaryKeys("bulkhead", null, "holds"), "COLUMN_NAME") + "]");
        System.out.println("product " + meta.getDatabaseProductName() + ", read only " + c.isReadOnly() + ", valid " + c.isValid(2));
        Statement s = c.createStatement();
        System.out.println("shards " + names(s.executeQuery("SHOW SHARDS"), "name"));
        System.out.println("full " + names(s.executeQuery("SHOW FULL TABLES"), "Table_type").length());
        System.out.println("databases " + names(s.executeQuery("SHOW DATABASES"), "Database"));
        names(s.executeQuery("SHOW VARIABLES"), "Variable_name");
        names(s.executeQuery("SHOW SESSION VARIABLES LIKE 'lower_case_table_names'"), "Value");
        names(s.executeQuery("SHOW ENGINES"), "Engine");
        names(s.executeQuery("SHOW COLLATION"), "Collation");
        PreparedStatement p = c.prepareStatement("SELECT name, epoch, max_wait FROM shards WHERE name = ? AND epoch > ?");
        p.setString(1, "s2");
        p.setInt(2, 0);
        ResultSet rows = p.executeQuery();
        rows.next();
        System.out.println("prepared " + rows.getString(1) + " " + rows.getLong(2) + " " + rows.getObject(3));
        PreparedStatement hold = c.prepareStatement("HOLD TENANT ?");
        hold.setString(1, "t2");
        hold.execute();
        s.execute("RELEASE TENANT t2");
        c.setAutoCommit(false);
        s.executeQuery("SELECT 1");
        c.commit();
        c.setAutoCommit(true);
        for (String bad : new String[] {"SELECT * FROM nowhere", "SELEC", "DRAIN BACKEND nowhere"}) {
          try { s.execute(bad); } catch (SQLException e) { System.out.println("error " + e.getErrorCode() + " " + e.getSQLState()); }
        }
      }
    }
    System.out.println("ok");
  }
}
