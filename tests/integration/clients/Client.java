// MariaDB Connector/J: text and server-side prepared, batches, procedures, cursors, errors. args: host port user password db
import java.sql.*;

public class Client {
  public static void main(String[] a) throws Exception {
    for (String options : new String[] {"", "&useServerPrepStmts=true", "&useServerPrepStmts=true&useBulkStmts=true&useCompression=true"}) {
      try (Connection c = DriverManager.getConnection("jdbc:mariadb://" + a[0] + ":" + a[1] + "/" + a[4] + "?allowMultiQueries=true&allowPublicKeyRetrieval=true" + options, a[2], a[3])) {
        Statement s = c.createStatement();
        s.execute("DROP TABLE IF EXISTS java");
        s.execute("CREATE TABLE java (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(30), d DECIMAL(10,3), t TIMESTAMP(3) NULL, b BLOB)");
        PreparedStatement p = c.prepareStatement("INSERT INTO java (s, d, t, b) VALUES (?, ?, ?, ?)", Statement.RETURN_GENERATED_KEYS);
        for (int i = 0; i < 20; i++) {
          p.setString(1, "röw " + i);
          p.setBigDecimal(2, new java.math.BigDecimal("1.5"));
          p.setTimestamp(3, Timestamp.valueOf("2024-02-29 01:02:03.004"));
          p.setBytes(4, new byte[] {0, (byte) i});
          p.addBatch();
        }
        System.out.println("batch " + p.executeBatch().length);
        p.setString(1, null);
        p.setNull(2, Types.DECIMAL);
        p.setNull(3, Types.TIMESTAMP);
        p.setNull(4, Types.BLOB);
        p.executeUpdate();
        ResultSet keys = p.getGeneratedKeys();
        keys.next();
        System.out.println("key " + keys.getInt(1));
        c.setAutoCommit(false);
        s.executeUpdate("DELETE FROM java");
        c.rollback();
        c.setAutoCommit(true);
        PreparedStatement q = c.prepareStatement("SELECT s, d, t FROM java WHERE id > ? ORDER BY id");
        q.setFetchSize(5);
        for (int from : new int[] {0, 17}) {
          q.setInt(1, from);
          ResultSet r = q.executeQuery();
          int n = 0;
          String last = "";
          while (r.next()) { n++; last = r.getString(1) + " " + r.getBigDecimal(2) + " " + r.getTimestamp(3); }
          System.out.println("rows " + n + ", last " + last);
        }
        s.execute("DROP PROCEDURE IF EXISTS java_p");
        s.execute("CREATE PROCEDURE java_p(IN i INT, OUT o INT) BEGIN SET o = i * 2; SELECT i; END");
        CallableStatement call = c.prepareCall("{call java_p(?, ?)}");
        call.setInt(1, 21);
        call.registerOutParameter(2, Types.INTEGER);
        call.execute();
        System.out.println("out " + call.getInt(2));
        for (String bad : new String[] {"SELECT * FROM nowhere", "SELEC", "INSERT INTO java (id) VALUES (1)"}) {
          try { s.execute(bad); } catch (SQLException e) { System.out.println("error " + e.getErrorCode() + " " + e.getSQLState()); }
        }
        s.execute("SELECT 1; SELECT 2");
        System.out.println("more " + s.getMoreResults());
        c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        System.out.println("isolation " + c.getTransactionIsolation() + " valid " + c.isValid(2) + " readonly " + c.isReadOnly());
        s.execute("SELECT 1/0");
        SQLWarning warning = s.getWarnings();
        System.out.println("warnings " + (warning == null ? "none" : warning.getMessage()));
        ResultSet tables = c.getMetaData().getColumns(a[4], null, "java", null);
        int columns = 0;
        while (tables.next()) columns++;
        System.out.println("columns " + columns);
      }
    }
    System.out.println("ok");
  }
}
